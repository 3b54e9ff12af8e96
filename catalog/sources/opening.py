"""Opens the source that `--input` names."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.listings import folder_photos, list_photos
from catalog.listings.listing import LIST_SUFFIXES
from catalog.photos import derived_tree, folder_contents
from catalog.photos.confined import Rules
from catalog.photos.derived_tree import DerivedTree
from catalog.schema.fields import LIST_FIELDS, Fields
from catalog.sources import bson_files, first_look, mongo, mongo_read, photo_files
from catalog.sources.source import Source

_DUMPS = ('*.bson', '*.bson.gz', '*/*.bson', '*/*.bson.gz')  # the layout of mongodump
_SYSTEM_COLLECTIONS = ('system.', 'oplog.')  # collections in a dump that contain no products


def open_source(
    inputs: Sequence[str],
    *,
    tree: Categories | None,
    rules: Rules | None = None,
    fields: Fields | None = None,
    max_unpack_ratio: float = bson_files.MAX_UNPACK_RATIO,
    folder_in_key: bool = False,
) -> Source:
    """Opens the source that `--input` names.

    Args:
      inputs: One MongoDB collection. Or paths and globs, local or gs://, of BSON files (also
        `.gz`) and of folders that mongodump wrote. Or paths of photo folders and photo lists.
      tree: Categories that may name folders. None for unlabelled data.
      rules: Which photos may be read.
      fields: Names of the fields.
      max_unpack_ratio: Largest size of a `.gz` file once unpacked, in sizes of the file.
      folder_in_key: Whether the paths of products in folders begin with the folder's name.

    Raises:
      UserError: If nothing is found, or several kinds of source.
    """
    rules, fields = rules or Rules(), fields or Fields()
    if inputs[0].startswith(mongo_read.SCHEMES):
        # The flag was split at commas, which also separate the hosts of one address.
        return mongo.open_collection(','.join(inputs), fields)
    bson, photos = find_inputs(inputs)
    if photos:
        if fields.renamed and not any(map(_is_list, photos)):
            raise UserError(
                f'--fields: folders of photos have no fields, got {"=".join(fields.renamed[0])}; '
                'name them in a list of the photos'
            )
        fields.check(LIST_FIELDS, source='lists of photos')
        return photo_files.open_photos(
            photos, tree, rules, dict(fields.renamed), folder_in_key=folder_in_key
        )
    return bson_files.open_files(bson, fields=fields, max_unpack_ratio=max_unpack_ratio)


def derive_tree(
    inputs: Sequence[str],
    *,
    rules: Rules,
    columns: Mapping[str, str] | None = None,
    product_folders: bool | None = None,
) -> DerivedTree | None:
    """Returns the category tree that folders or lists of photos imply.

    Args:
      inputs: As for `open_source`.
      rules: Which photos may be read.
      columns: The own names of columns in lists of photos, by our names.
      product_folders: Whether the innermost folders are products. None if not known.

    Returns:
      None if the input is not folders alone, or lists alone.

    Raises:
      UserError: If no tree can be derived.
    """
    if inputs[0].startswith(mongo_read.SCHEMES):
        return None
    paths = [path for pattern in inputs for path in _paths(pattern)]
    lists = [path for path in paths if _is_list(path)]
    if lists and len(lists) == len(paths):
        texts: Counter[str] = Counter()
        for path in paths:
            texts.update(list_photos.count_categories(path, rules, columns or {}))
        if not texts:
            raise UserError(list_photos.describe_unlabelled(paths[0]))
        return derived_tree.derive_from_texts(texts, path=paths[0])
    first_look.check_containers([p for p in paths if not (_is_list(p) or is_folder(p))])
    if lists or not all(is_folder(path) for path in paths) or any(map(_bson_files, paths)):
        return None
    return derived_tree.derive_from_folders(paths, product_folders=product_folders)


def check_folders(source: Source, tree: Categories) -> None:
    """Checks that no photos are lost because their folders name no category.

    Raises:
      UserError: Naming the folders, and the nearest categories.
    """
    if not isinstance(source, photo_files.PhotoFiles):
        return
    if text := folder_photos.describe_unknown(source.listings, tree):
        raise UserError(
            f'{text}; rename or move them, or accept the loss of their photos with '
            '--max_rejected_fraction above its default'
        )


def find_inputs(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the BSON files, or the folders and lists of photos, that paths and globs name.

    Raises:
      UserError: If nothing is found, or both.
    """
    bson: list[str] = []
    photos: list[str] = []
    for pattern in inputs:
        for path in _paths(pattern):
            files = _bson_files(path)
            bson.extend(files)
            photos.extend([] if files else [path])
    if bson and photos:
        raise UserError(
            f'--input: must be BSON files or photos, got both: {bson[0]} and {photos[0]}'
        )
    return bson, photos


def _paths(pattern: str) -> list[str]:
    """Returns the files and folders that match a path or glob, sorted."""
    pattern = pattern.rstrip('/') or pattern
    found = storage.glob(pattern)
    if not found and storage.is_remote(pattern) and folder_contents.contents_below(pattern).files:
        return [pattern]  # an object store has no folders, only names with a common prefix
    if not found:
        raise UserError(f'--input: must name existing files, got {pattern}')
    return found


def _bson_files(path: str) -> list[str]:
    """Returns the path itself or the BSON files of a dump; nothing if the path contains photos."""
    if _is_list(path):
        return []
    if not is_folder(path):
        return [path]
    # Metadata and system collections of a dump are left out.
    found = [file for pattern in _DUMPS for file in storage.glob_below(path, pattern)]
    return sorted(
        file for file in found if not os.path.basename(file).startswith(_SYSTEM_COLLECTIONS)
    )


def _is_list(path: str) -> bool:
    return path.lower().endswith(LIST_SUFFIXES)


def is_folder(path: str) -> bool:
    """Returns whether an existing path is a folder, local or gs://."""
    if storage.is_remote(path):
        return not storage.exists(path)
    return os.path.isdir(path)
