"""Which source `--input` names."""

import os
from collections.abc import Sequence

from beam_pipelines.sources import bson_files, folders, mongo, photo_files, photo_lists
from beam_pipelines.sources.source import Source
from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError

_MONGODB = ('mongodb://', 'mongodb+srv://')
_DUMPS = ('*.bson', '*.bson.gz', '*/*.bson', '*/*.bson.gz')  # as mongodump lays them out
_SERVERS_OWN = ('system.', 'oplog.')  # collections in a dump that hold no products


def open_source(inputs: Sequence[str], *, tree: Categories | None) -> Source:
    """The source that `--input` names.

    Args:
      inputs: one MongoDB collection; or paths and globs, local or gs://, of BSON files (also
        `.gz`) and folders of them as mongodump makes them; or of folders and lists of photos.
      tree: by whose leaves folders may be named; None for unlabelled data.

    Raises:
      UserError: if they name nothing, or several kinds of source.
    """
    if inputs[0].startswith(_MONGODB):
        # The flag was cut at commas, which also part the hosts of one address.
        return mongo.open_collection(','.join(inputs))
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
    return photo_files.open_photos(photos, tree) if photos else bson_files.open_files(bson)


def _paths(pattern: str) -> list[str]:
    """The files and folders that a path or glob names, sorted."""
    pattern = pattern.rstrip('/') or pattern
    found = storage.glob(pattern)
    if not found and storage.is_remote(pattern) and folders.files_below(pattern):
        return [pattern]  # an object store has no folders, only names that begin alike
    if not found:
        raise UserError(f'--input: must name files that exist, got {pattern}')
    return found


def _bson_files(path: str) -> list[str]:
    """The BSON files that a path stands for: itself, or a dump's; none if it holds photos."""
    if path.endswith(photo_lists.LIST_SUFFIXES):
        return []
    if not _is_folder(path):
        return [path]
    # A dump's metadata is left out, and the server's own collections.
    found = [file for pattern in _DUMPS for file in storage.glob(storage.join(path, pattern))]
    return sorted(file for file in found if not os.path.basename(file).startswith(_SERVERS_OWN))


def _is_folder(path: str) -> bool:
    if storage.is_remote(path):
        return not storage.exists(path)
    return os.path.isdir(path)
