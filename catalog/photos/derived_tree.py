"""Derives a category tree from folders of photos, where there is no file of it.

The folders above the photos are the categories: `DIR/LEVEL 1/LEVEL 2/photo.jpg`. A folder with
folders of photos in it is a parent; photos beside these folders are above the categories, and have
none. With `product_folders`, the innermost folders are products, those that have products are
categories, and a photo beside the folders of products is a product.

Categories are sorted by their paths. Their ids are their names if these are numbers, else their
labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from unicodedata import normalize

from catalog import categories, storage
from catalog.errors import UserError
from catalog.photos import folder_contents
from catalog.photos.category_folders import parse_number
from catalog.photos.misspelled import find_misspelled
from catalog.terminal import counted
from catalog.trees.rows import MAX_LEVELS

_MAX_DEPTH = 20
_FEW_PHOTOS = 4  # of a folder, on average: it is rather a product than a category
_SHOWN = 5  # categories or folders that a note names

Names = tuple[str, ...]


@dataclass(frozen=True)
class DerivedTree:
    """A category tree that folders or lists of photos imply.

    Attributes:
      data: The bytes of `category_names.csv`.
      source: What the categories are: `folders` or `list`.
      photos: Number of photos, or of rows, by the path of the category.
      above: Number of photos above the categories, by folder.
      beside: Number of photos beside folders of products, by folder.
    """

    data: bytes
    source: str
    photos: Mapping[Names, int]
    above: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """Returns the number and the first names of the categories."""
        names = [' > '.join(names) for names in sorted(self.photos)]
        return f'{len(names):,} from the {self.source}: {_first(names)}'

    def notes(self) -> list[str]:
        """Returns what is remarkable about the folders."""
        texts = {
            'photos in folders above the categories, which are rejected': self.above,
            'photos beside folders of products, each a product': self.beside,
        }
        lines = [
            f'{text}: {sum(counts.values()):,} ({_named(counts)})'
            for text, counts in texts.items()
            if counts
        ]
        pairs = [
            f'{" > ".join(small)!r} ({self.photos[small]:,}) for {" > ".join(large)!r} '
            f'({self.photos[large]:,})'
            for small, large in find_misspelled(self.photos)
        ]
        if pairs:
            lines.append(f'small categories that may be misspelled: {_first(pairs)}')
        return lines

    def check_above(self, max_fraction: float) -> None:
        """Checks that few photos are above the categories.

        Raises:
          UserError: If they are a larger fraction of all photos.
        """
        lost = sum(self.above.values())
        total = lost + sum(self.photos.values())
        if lost > max_fraction * total:
            raise UserError(
                f'--input: folders above the categories must have no photos of their own, got '
                f'{lost:,} of {total:,} photos beside folders of photos ({_named(self.above)}); '
                'move them, or use --product_folders if the folders beside them are products; '
                f'--max_rejected_fraction, now {max_fraction:g}, allows their loss'
            )


@dataclass(frozen=True)
class _Folder:
    """A folder that has photos, or folders with photos in it.

    Attributes:
      within: Its path below the input.
      photos: Number of photos directly in it.
      inner: The folders in it that have photos.
    """

    within: str
    photos: int
    inner: 'tuple[_Folder, ...]'

    @property
    def name(self) -> str:
        """The name of the folder, '.' for the input."""
        return self.within.rpartition('/')[2] or '.'


def derive_from_folders(folders: Sequence[str], *, product_folders: bool | None) -> DerivedTree:
    """Returns the category tree of folders of photos.

    Args:
      folders: Folders of photos.
      product_folders: Whether the innermost folders are products. None for not, unless it looks so.

    Raises:
      UserError: If there are no folders with photos, or they look like products, or products are
        beside categories.
    """
    photos: dict[Names, int] = {}
    above: dict[str, int] = {}
    beside: dict[str, int] = {}
    above_names: dict[str, Names] = {}
    for root in folders:
        top = _read_folder(root, '')
        for folder in _parents(top, root, product_folders=bool(product_folders)):
            if count := len(folder_contents.loose_photos(_path(root, folder.within)).files):
                above[folder.within or '.'] = above.get(folder.within or '.', 0) + count
                above_names[folder.within or '.'] = _names(folder.within)
        for folder in _categories(top, product_folders=bool(product_folders)):
            names = _names(folder.within)
            total = folder.photos + sum(product.photos for product in folder.inner)
            photos[names] = photos.get(names, 0) + total
            if folder.inner and folder.photos:
                beside[folder.within] = beside.get(folder.within, 0) + folder.photos
    if not photos:
        raise UserError(_no_categories(folders[0], product_folders=bool(product_folders)))
    _check_levels(photos, path=folders[0])
    mean = sum(photos.values()) / len(photos)
    if product_folders is None and mean <= _FEW_PHOTOS and max(map(len, photos)) > 1:
        raise UserError(
            f'{folders[0]}: its {len(photos):,} innermost folders have {mean:.1f} photos each on '
            'average, so they may be products; --product_folders takes them for products of the '
            'folders above, and --noproduct_folders for categories'
        )
    # In another input, the folder may be a category.
    above = {name: count for name, count in above.items() if above_names[name] not in photos}
    return DerivedTree(_format(photos), 'folders', photos, above, beside)


def _no_categories(folder: str, *, product_folders: bool) -> str:
    found = folder_contents.contents_below(folder)
    layout = 'DIR/CATEGORY/PRODUCT/' if product_folders else 'DIR/CATEGORY/'
    number, others = len(found.files), found.passed_over
    if number:
        got = f'{counted(number, "photo")} that {"is" if number == 1 else "are"} in none'
        hint = '--categories gives a tree, and --unlabelled reads photos without categories'
    else:
        got, hint = 'no photos', 'is this the right folder?'
        if others:
            verb = 'is' if others == 1 else 'are'
            hint = f'{counted(others, "other file")} {verb} in it; {hint}'
    return (
        f'{folder}: must have photos in folders that are their categories ({layout}), got {got}; '
        f'{hint}'
    )


def derive_from_texts(texts: Mapping[str, int], *, path: str) -> DerivedTree:
    """Returns the category tree of the categories of a list.

    Args:
      texts: Number of rows by category: an id, or a path of names with ` > ` or else `/` between
        them.
      path: The list, for errors.

    Raises:
      UserError: If some are numbers and some are not.
    """
    distinct = sorted(texts)
    numbers = [parse_number(text) is not None for text in distinct]
    if any(numbers) and not all(numbers):
        one, other = distinct[numbers.index(True)], distinct[numbers.index(False)]
        raise UserError(
            f'{path}: categories must be all numbers or all names where there is no tree, got '
            f'{one!r} and {other!r}; give the tree with --categories'
        )
    separator = '>' if any('>' in text for text in distinct) else '/'
    rows: dict[Names, int] = {}
    for text, count in texts.items():
        names = _clean(text.split(separator))
        rows[names] = rows.get(names, 0) + count
    _check_levels(rows, path=path)
    return DerivedTree(_format(rows), 'list', rows)


def _check_levels(paths: Iterable[Names], *, path: str) -> None:
    """Checks that a tree may have such paths.

    Raises:
      UserError: Naming the longest one.
    """
    longest = max(paths, key=len, default=())
    if len(longest) > MAX_LEVELS:
        raise UserError(
            f'{path}: a category must have at most {MAX_LEVELS} names, got {len(longest)}: '
            f'{" > ".join(longest)!r}; shorten the path, or give the tree with --categories'
        )


def _format(paths: Iterable[Names]) -> bytes:
    ordered = sorted(paths)
    numbers = [parse_number(names[0]) if len(names) == 1 else None for names in ordered]
    given = [number for number in numbers if number is not None]
    if len(given) == len(ordered) == len(set(given)):
        pairs = sorted(zip(given, ordered, strict=True))
        return categories.format_tree([n for n, _ in pairs], [names for _, names in pairs])
    return categories.format_tree(range(len(ordered)), ordered)


def _read_folder(root: str, within: str) -> _Folder:
    """Returns a folder with the folders in it that have photos."""
    path = _path(root, within)
    photos = len(folder_contents.contents_of(path).files)
    if within.count('/') > _MAX_DEPTH:  # a link may form a loop
        return _Folder(within, photos, ())
    found = [
        _read_folder(root, f'{within}/{name}'.strip('/'))
        for name in folder_contents.folders_in(path)
    ]
    return _Folder(within, photos, tuple(inner for inner in found if inner.photos or inner.inner))


def _categories(folder: _Folder, *, product_folders: bool) -> Iterator[_Folder]:
    """Yields the folders that are categories."""
    if _is_category(folder, product_folders=product_folders):
        yield folder
        return
    for inner in folder.inner:
        yield from _categories(inner, product_folders=product_folders)


def _parents(folder: _Folder, root: str, *, product_folders: bool) -> Iterator[_Folder]:
    """Yields the folders above the categories, the input first.

    Raises:
      UserError: If products are in one of them.
    """
    if _is_category(folder, product_folders=product_folders):
        return
    products = [inner for inner in folder.inner if not inner.inner]
    others = [inner for inner in folder.inner if inner.inner]
    if product_folders and products and others:
        raise UserError(
            f'{_path(root, folder.within)}: with --product_folders, the folders in a folder must '
            f'be products or categories, got {products[0].name!r}, which has photos, and '
            f'{others[0].name!r}, which has folders of photos; put the photos of '
            f'{products[0].name!r} into folders of products, or give the tree with --categories'
        )
    yield folder
    for inner in folder.inner:
        yield from _parents(inner, root, product_folders=product_folders)


def _is_category(folder: _Folder, *, product_folders: bool) -> bool:
    if not folder.within:
        return False
    if product_folders:
        return bool(folder.inner) and not any(inner.inner for inner in folder.inner)
    return not folder.inner


def _path(root: str, within: str) -> str:
    return storage.join(root, within) if within else root


def _names(within: str) -> Names:
    return tuple(name for part in within.split('/') for name in _clean(part.split(' > ')))


def _clean(names: Iterable[str]) -> Names:
    cleaned = (' '.join(normalize('NFC', name).split()) for name in names)
    return tuple(name for name in cleaned if name)


def _named(counts: Mapping[str, int]) -> str:
    return _first([f'{name} {count:,}' for name, count in sorted(counts.items())])


def _first(texts: Sequence[str]) -> str:
    more = f' and {len(texts) - _SHOWN:,} more' if len(texts) > _SHOWN else ''
    return ', '.join(texts[:_SHOWN]) + more
