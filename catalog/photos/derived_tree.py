"""Derives a category tree from folders or a list of photos, where there is no file of it.

The folders above the photos are the categories: `DIR/LEVEL 1/LEVEL 2/photo.jpg`. A folder with
photos of its own is a category, and the folders in it are products. With `product_folders`, the
innermost folders are products, and those above them are categories.

Categories are sorted by their paths. Their ids are their names if these are numbers, else their
labels.
"""

from collections.abc import Iterable, Iterator, Sequence
from unicodedata import normalize

from catalog import categories, storage
from catalog.errors import UserError
from catalog.photos import folder_contents
from catalog.photos.category_folders import parse_number

_MAX_DEPTH = 20
_FEW_PHOTOS = 4  # of a folder, on average: it is rather a product than a category

Names = tuple[str, ...]


def derive_from_folders(folders: Sequence[str], *, product_folders: bool | None) -> bytes:
    """Returns the bytes of `category_names.csv`.

    Args:
      folders: Folders of photos.
      product_folders: Whether the innermost folders are products. None for not, unless it looks so.

    Raises:
      UserError: If there are no folders with photos, or they look like products.
    """
    paths: dict[Names, int] = {}
    have_products = False
    for folder in folders:
        for within, photos, inner in _category_folders(folder, '', bool(product_folders)):
            have_products = have_products or inner
            names = tuple(n for part in within.split('/') for n in _clean(part.split(' > ')))
            paths[names] = paths.get(names, 0) + photos
    if not paths:
        raise UserError(
            f'{folders[0]}: must have folders with photos, which name their categories, got none; '
            '--categories gives a tree, and --unlabelled reads photos without categories'
        )
    mean = sum(paths.values()) / len(paths)
    are_few = mean <= _FEW_PHOTOS and max(map(len, paths)) > 1
    if product_folders is None and are_few and not have_products:
        raise UserError(
            f'{folders[0]}: its {len(paths):,} innermost folders have {mean:.1f} photos each on '
            'average, so they may be products; --product_folders takes them for products of the '
            'folders above, and --noproduct_folders for categories'
        )
    return _format(paths)


def derive_from_texts(texts: Iterable[str], *, path: str) -> bytes:
    """Returns the bytes of `category_names.csv` from the categories of a list.

    Args:
      texts: Ids, or paths of names with ` > ` or else `/` between them.
      path: The list, for errors.

    Raises:
      UserError: If some are numbers and some are not.
    """
    distinct = sorted(set(texts))
    numbers = [parse_number(text) is not None for text in distinct]
    if any(numbers) and not all(numbers):
        one, other = distinct[numbers.index(True)], distinct[numbers.index(False)]
        raise UserError(
            f'{path}: categories must be all numbers or all names where there is no tree, got '
            f'{one!r} and {other!r}; give the tree with --categories'
        )
    separator = '>' if any('>' in text for text in distinct) else '/'
    return _format({_clean(text.split(separator)) for text in distinct})


def _format(paths: Iterable[Names]) -> bytes:
    ordered = sorted(paths)
    numbers = [parse_number(names[0]) if len(names) == 1 else None for names in ordered]
    given = [number for number in numbers if number is not None]
    if len(given) == len(ordered) == len(set(given)):
        pairs = sorted(zip(given, ordered, strict=True))
        return categories.format_tree([n for n, _ in pairs], [names for _, names in pairs])
    return categories.format_tree(range(len(ordered)), ordered)


def _category_folders(
    root: str, within: str, product_folders: bool
) -> Iterator[tuple[str, int, bool]]:
    """Yields the path of each category folder, its own photos, and whether it has folders."""
    if within.count('/') > _MAX_DEPTH:  # a link may form a loop
        return
    folder = storage.join(root, within) if within else root
    photos = len(folder_contents.contents_of(folder).files)
    inner = [f'{within}/{name}'.strip('/') for name in folder_contents.folders_in(folder)]
    has_products = product_folders and any(
        folder_contents.contents_of(storage.join(root, name)).files for name in inner
    )
    if within and (has_products or (photos and not product_folders)):
        yield within, photos, bool(inner)
        return
    for name in inner:
        yield from _category_folders(root, name, product_folders)


def _clean(names: Iterable[str]) -> Names:
    cleaned = (' '.join(normalize('NFC', name).split()) for name in names)
    return tuple(name for name in cleaned if name)
