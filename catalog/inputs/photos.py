"""Opens folders and lists of photos, which may have no categories, or those of another tree."""

import sys
from collections.abc import Sequence

from catalog import categories, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.inputs.options import SourceOptions
from catalog.listings import folder_photos, list_photos
from catalog.listings.listing import LIST_SUFFIXES, NoKnownCategory
from catalog.sources import opening, photo_files
from catalog.sources.source import Source

_MOST_VIEWS = 4  # of a product, on average; a folder with more photos may be a category


def open_photos(
    names: Sequence[str], tree: Categories, options: SourceOptions
) -> tuple[Source, bool]:
    """Opens photos, and reports those without a category of the model's tree.

    Args:
      names: Folders and lists.
      tree: The categories of the model.
      options: How they are read.

    Returns:
      The source, and whether it has categories.

    Raises:
      UserError: If there are no photos, or it is not known which folders are products.
    """
    paths = [path for name in names for path in storage.glob(name.rstrip('/') or name) or [name]]
    without = [path for path in paths if _is_list(path) and not _has_categories(path, options)]
    try:
        if without:
            raise NoKnownCategory(
                f'{without[0]} has no categories; --fields=category=COLUMN names their column'
            )
        source = _open(names, tree, options)
    except NoKnownCategory as error:
        unlabelled = _open_unlabelled(names, paths, options)
        _note(f'predicted without accuracy: {error}')
        return unlabelled, False
    if isinstance(source, photo_files.PhotoFiles) and (
        text := folder_photos.describe_unknown(source.listings, tree)
    ):
        _note(f'some photos are predicted without accuracy: {text}')
    if options.product_folders is not None:
        _note(
            '--product_folders has no effect: in folders that name categories of the model, and in '
            'lists, products are known'
        )
    return source, True


def _note(text: str) -> None:
    print(f'note: {text}', file=sys.stderr)


def _is_list(path: str) -> bool:
    return path.lower().endswith(LIST_SUFFIXES)


def _has_categories(path: str, options: SourceOptions) -> bool:
    columns = dict(options.fields.renamed)
    return bool(list_photos.count_categories(path, options.rules, columns))


def _open_unlabelled(names: Sequence[str], paths: Sequence[str], options: SourceOptions) -> Source:
    """Opens photos whose folders name no category: they only show which photos are a product.

    Directly in DIR, a folder is a product. Deeper, the shard job's rules hold.
    """
    flat = _open(names, None, options)
    if any(map(_is_list, paths)):
        return flat
    folders = _derive(names, options, product_folders=False)
    if folders.levels > 1:
        folders = _derive(names, options, product_folders=options.product_folders)
    elif options.product_folders or (
        options.product_folders is None and _are_products(flat, folders, paths[0])
    ):
        return flat
    return _open(names, folders, options)


def _open(names: Sequence[str], tree: Categories | None, options: SourceOptions) -> Source:
    return opening.open_source(
        names,
        tree=tree,
        rules=options.rules,
        fields=options.fields,
        folder_in_key=options.folder_in_key,
    )


def _derive(
    names: Sequence[str], options: SourceOptions, *, product_folders: bool | None
) -> Categories:
    """Returns the folders as a tree."""
    derived = opening.derive_tree(names, rules=options.rules, product_folders=product_folders)
    return categories.parse(derived.data if derived else b'', path=names[0])


def _are_products(source: Source, folders: Categories, path: str) -> bool:
    """Returns True: the folders are products. Raises a UserError if they may be categories."""
    photos = sum(source.counts) if isinstance(source, photo_files.PhotoFiles) else 0
    mean = photos / len(folders)
    if mean > _MOST_VIEWS:
        raise UserError(
            f'{path}: its {len(folders):,} folders name no category of the model and have '
            f'{mean:.1f} photos each on average, so they may be products or categories; '
            '--product_folders takes each folder for a product, and --noproduct_folders each photo'
        )
    return True
