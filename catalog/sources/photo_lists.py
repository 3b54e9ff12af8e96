"""Lists photos with their products and categories, from folders or from a list file.

Opens no photo. The rules are documented in `catalog.sources.photo_files`.
"""

import dataclasses
import functools
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import product_key, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.photos import category_folders, folder_contents, list_columns, list_file
from catalog.photos.category_folders import FolderNames, parse_number
from catalog.photos.confined import Rules, is_absolute
from catalog.sources import runs
from catalog.sources.source import (
    ABOVE_CATEGORIES,
    NO_CATEGORY,
    NO_GROUP,
    UNKNOWN_CATEGORY,
)

Int64s = npt.NDArray[np.int64]

LIST_SUFFIXES = ('.csv', '.parquet', '.tsv', '.txt')


class NoKnownCategory(UserError):
    """No folder of an input, or no row of a list, names a category of the tree."""


@dataclass(frozen=True)
class Listing:
    """A folder of products, the loose photos of a folder, or a list file.

    Attributes:
      path: Path of the folder or list.
      root: Folder that the paths of products are relative to.
      rules: Which photos may be read.
      category_id: Category of all products. NO_CATEGORY for a list, or if there is none.
      loose: Whether to use only the pictures directly in the folder.
      inner: Names of folders in the folder that have listings of their own.
      numbered: Whether a file or folder whose name is a number has this number as its id.
      prefix: Put before the path of a product in a folder.
      columns: The list's own names of columns by our names, as pairs.
      category_ids: Category ids of the categories that a list has as text, as pairs.
    """

    path: str
    root: str
    rules: Rules
    category_id: int = NO_CATEGORY
    loose: bool = False
    inner: frozenset[str] = frozenset()
    numbered: bool = True
    prefix: str = ''
    columns: tuple[tuple[str, str], ...] = ()
    # Not compared: it follows from the rest, and hashing it takes longer than to find a listing.
    category_ids: tuple[tuple[str, int], ...] = field(default=(), compare=False)

    def is_list(self) -> bool:
        """Returns whether the path is a list file."""
        return self.path.lower().endswith(LIST_SUFFIXES) and not self.loose

    def photo_root(self) -> str:
        """Returns the folder that photos must be in: the root, or the list's folder."""
        return os.path.dirname(self.path) or '.' if self.is_list() else self.root


@dataclass(frozen=True)
class Texts:
    """Byte strings, one after another, and where each one ends, int64 [texts]."""

    data: bytes
    ends: Int64s

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> bytes:
        begin = int(self.ends[number - 1]) if number else 0
        return self.data[begin : int(self.ends[number])]

    def longest(self) -> int:
        """Returns the size of the longest one; 0 if there are none."""
        return int(np.diff(self.ends, prepend=0).max(initial=0))


def pack_texts(texts: Sequence[bytes]) -> Texts:
    """Returns byte strings as one."""
    return Texts(b''.join(texts), np.cumsum([len(text) for text in texts], dtype=np.int64))


@dataclass(frozen=True)
class Photos:
    """The photos of a listing, grouped by product, in order of their paths.

    About 100 bytes a photo, because the names are one byte string.

    Attributes:
      folder: Folder that the names are relative to.
      names: Names of all photos, UTF-8 [photos].
      first: Index of each product's first photo, then the number of photos, int64 [products + 1].
      product_ids: int64 [products].
      keys: The key of each product, b'' where the id is an integer [products].
      category_ids: int64 [products], NO_CATEGORY where a product has no category.
      are_from_paths: Whether the ids follow from the paths of photos, bool [products].
      notes: Number of `files` and `rows` that are passed over.
      splits: The split that the list names for each product, '' for none, and several if its rows
        differ [products]. None if the list names no splits.
      groups: The group of each product, NO_GROUP for none, int64 [products]. None if the list
        names no groups.
    """

    folder: str
    names: Texts
    first: Int64s
    product_ids: Int64s
    keys: Texts
    category_ids: Int64s
    are_from_paths: npt.NDArray[np.bool_]
    notes: Mapping[str, int]
    splits: tuple[str, ...] | None = None
    groups: Int64s | None = None

    def __len__(self) -> int:
        return len(self.names)

    def path(self, photo: int) -> str:
        """Returns the path of a photo."""
        name = os.fsdecode(self.names[photo])
        return name if is_absolute(name) else storage.join(self.folder, name)

    def shown_id(self, product: int) -> int | str:
        """Returns the key of a product, or its id if it has none."""
        key = self.keys[product]
        return product_key.decode(key) if key else int(self.product_ids[product])


def list_category_folders(folder: str, tree: Categories, rules: Rules) -> list[Listing]:
    """Returns a listing per category folder, and of the loose photos, which have no category.

    Raises:
      NoKnownCategory: If no folder names a category.
      UserError: If a folder is a link to outside.
    """
    names = FolderNames(tree)
    listings, known, unknown = [], 0, []
    for found in category_folders.find_folders(folder, names, rules):
        category_id = found.category_id
        if category_id is None:
            category_id = ABOVE_CATEGORIES if found.loose else UNKNOWN_CATEGORY
        known += category_id in tree.label_by_id
        listing = Listing(
            storage.join(folder, found.within) if found.within else folder,
            root=folder,
            rules=rules,
            category_id=category_id,
            loose=found.loose,
            inner=found.inner,
        )
        if found.within and category_id not in tree.label_by_id:
            unknown.append(listing)
        listings.append(listing)
    if unknown and not known and (text := describe_unknown(unknown, tree)):
        raise NoKnownCategory(f'{text}; rename or move them')
    return listings


def describe_unknown(listings: Sequence[Listing], tree: Categories) -> str:
    """Returns which folders with photos name no category, and the nearest ones; '' if none."""
    lost = [
        (listing.path.removeprefix(listing.root).strip('/'), count)
        for listing in listings
        if not (listing.category_id in tree.label_by_id or listing.path == listing.root)
        and not listing.is_list()
        and (count := len(load_photos(listing)))
    ]
    if not lost:
        return ''
    names = FolderNames(tree)
    named = ', '.join(
        f'{within!r} ({count:,} photo{"" if count == 1 else "s"}; the nearest category is '
        f'{names.nearest(within.replace("/", " > "))!r})'
        for within, count in lost[:3]
    )
    more = f' and {len(lost) - 3:,} more' if len(lost) > 3 else ''
    return (
        f'{listings[0].root}: each folder must be named by a category_id or by names of the '
        f'category tree, got {named}{more}'
    )


def open_list(
    path: str, tree: Categories | None, rules: Rules, columns: Mapping[str, str]
) -> Listing:
    """Returns the listing of a list file.

    Args:
      path: The list.
      tree: Categories that the list may name. None for unlabelled data.
      rules: Which photos may be read.
      columns: The list's own names of columns, by our names.

    Raises:
      NoKnownCategory: If the list names no category of the tree.
      UserError: If the list is invalid.
    """
    listing = Listing(
        path, root=os.path.dirname(path) or '.', rules=rules, columns=tuple(columns.items())
    )
    if tree is None:
        return listing
    table = list_file.read(path, rules, columns)
    if not table.num_rows:
        raise UserError(f'{path}: must list at least one photo, got none')
    if 'category' not in table.column_names:
        raise UserError(
            f'{path}: must have a column category, as its photos are labelled; another name is '
            'given by --fields=category=COLUMN, and --unlabelled reads photos without categories'
        )
    if not (_is_text(table['category']) or tree.codes):
        return listing
    names = FolderNames(tree)
    ids = {}
    texts = list(count_categories(path, rules, columns))
    for text in texts:
        category_id = names.find_text(text)
        if category_id is not None:
            ids[text] = category_id
    if texts and not ids:
        raise NoKnownCategory(
            f'{path}: the column category must have ids or names of the category tree, got '
            f'{texts[0]!r}; the nearest is {names.nearest(texts[0])!r}'
        )
    return dataclasses.replace(listing, category_ids=tuple(ids.items()))


def count_categories(path: str, rules: Rules, columns: Mapping[str, str]) -> dict[str, int]:
    """Returns the number of rows of each category of a list; none if it has no such column.

    Raises:
      UserError: If the list is invalid.
    """
    table = list_file.read(path, rules, columns)
    if 'category' not in table.column_names:
        return {}
    counts = table['category'].value_counts().to_pylist()
    return {str(row['values']): row['counts'] for row in counts if row['values'] is not None}


def number_products(listings: Sequence[Listing], prefix: str) -> tuple[list[Listing], str]:
    """Returns the listings of an input folder of which no two products have the same id.

    If two products have the same number as their names, such as `7/1.jpg` and `8/1.jpg`, the names
    are no ids, and all products have their paths as ids.

    Args:
      listings: All listings of the folder.
      prefix: Put before the paths. If there is one, no number is an id.

    Returns:
      The listings, and the two products whose numbers are the same, or ''.
    """
    twins = ''
    if not prefix:
        numbers, owners = _path_ids(listings, numbers_only=True)
        same = _first_repeat(numbers)
        if same is not None:
            twins = ' and '.join(_product_path(listings, owners[place]) for place in same)
    numbered = not (prefix or twins)
    changed = [
        dataclasses.replace(listing, numbered=numbered, prefix=prefix) for listing in listings
    ]
    return changed, twins


def check_distinct(inputs: Sequence[Sequence[Listing]]) -> None:
    """Checks that products of different folders have different ids.

    Ids that a list gives are the shop's own, and are not checked here.

    Args:
      inputs: The listings of each input.

    Raises:
      UserError: Naming two products with the same id.
    """
    by_root: dict[str, list[Listing]] = {}
    for listings in inputs:
        root = listings[0].photo_root()
        root = root if storage.is_remote(root) else os.path.realpath(root)
        by_root.setdefault(root, []).extend(listings)
    if len(by_root) == 1:
        return
    every = [listing for listings in by_root.values() for listing in listings]
    found, owners = _path_ids(every, numbers_only=False)
    roots = np.repeat(np.arange(len(by_root)), [len(listings) for listings in by_root.values()])
    same = _first_repeat(found, roots[owners[:, 0]])
    if same is None:
        return
    one, other = (_product_path(every, owners[place]) for place in same)
    owner, product = owners[same[0]].tolist()
    hint = '--folder_in_key begins the ids of photos with the name of their folder'
    if all(every[int(owners[place, 0])].is_list() for place in same):
        hint = 'give the lists a column product'
    raise UserError(
        '--input: products of several folders must have different numbers or paths below these '
        f'folders, but {one} and {other} have the same id, '
        f'{load_photos(every[owner]).shown_id(product)!r}; {hint}'
    )


def _path_ids(listings: Sequence[Listing], *, numbers_only: bool) -> tuple[Int64s, Int64s]:
    """Returns the product ids that follow from paths, int64 [N], and their places, int64 [N, 2].

    A place is the number of the listing, and of the product in it.
    """
    ids, places = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
    for owner, listing in enumerate(listings):
        photos = load_photos(listing)
        kept = photos.are_from_paths
        if numbers_only:
            kept = kept & (np.diff(photos.keys.ends, prepend=0) == 0)
        products = np.flatnonzero(kept)
        ids.append(photos.product_ids[products])
        places.append(np.stack([np.full(len(products), owner), products], axis=1))
    return np.concatenate(ids), np.concatenate(places)


def _first_repeat(ids: Int64s, roots: Int64s | None = None) -> tuple[int, int] | None:
    """Returns the places of the first two equal ids, of different roots if these are given."""
    order = np.argsort(ids, kind='stable')
    same = ids[order][1:] == ids[order][:-1]
    if roots is not None:
        same &= roots[order][1:] != roots[order][:-1]
    pairs = np.flatnonzero(same)
    if not len(pairs):
        return None
    first = int(pairs[np.argmin(order[pairs])])
    return int(order[first]), int(order[first + 1])


def _product_path(listings: Sequence[Listing], place: Int64s) -> str:
    """Returns the path of the first photo of a product."""
    owner, product = place.tolist()
    photos = load_photos(listings[owner])
    return photos.path(int(photos.first[product]))


@functools.cache  # for the life of a worker: every shard has photos of most categories
def load_photos(listing: Listing) -> Photos:
    """Returns the photos of a listing.

    Raises:
      UserError: If a list file is invalid.
    """
    if listing.is_list():
        return _list_file_photos(listing)
    return _folder_photos(listing)


def _folder_photos(listing: Listing) -> Photos:
    if listing.loose:
        contents = folder_contents.loose_photos(listing.path)
    else:
        contents = folder_contents.contents_below(
            listing.path,
            root=listing.root,
            allow_outside=listing.rules.allow_outside,
            without=listing.inner,
        )
    names, passed_over = contents.files, contents.passed_over
    within = listing.path.removeprefix(listing.root).strip('/')
    # The paths are sorted, so the photos of one folder are neighbours.
    products = [name.partition('/')[0] for name in names]
    first = [n for n, product in enumerate(products) if not n or product != products[n - 1]]
    ids, keys = [], []
    for product in (products[n] for n in first):
        number = parse_number(product.partition('.')[0]) if listing.numbered else None
        key = '/'.join(part for part in (listing.prefix, within, product) if part)
        ids.append(product_key.product_id(product_key.PATH, key) if number is None else number)
        keys.append(product_key.encode(key) if number is None else b'')
    return Photos(
        folder=listing.path,
        names=pack_texts([os.fsencode(name) for name in names]),
        first=np.array([*first, len(names)], np.int64),
        product_ids=np.array(ids, np.int64),
        keys=pack_texts(keys),
        category_ids=np.full(len(first), listing.category_id, np.int64),
        are_from_paths=np.ones(len(first), bool),
        notes=Counter(files=passed_over),
    )


def _list_file_photos(listing: Listing) -> Photos:
    table = list_file.read(listing.path, listing.rules, dict(listing.columns))
    names, rows = _names(table['path'], listing)
    category_ids = _category_ids(table, listing)[rows]
    ids, keys = _product_ids(table, names, rows, listing)
    by_path = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    order = by_path[np.lexsort([category_ids[by_path], ids[by_path]])]
    kept = order[_are_new(order, names, ids, category_ids)]
    ids, category_ids = ids[kept], category_ids[kept]
    first = runs.starts(ids, category_ids)
    return Photos(
        folder=os.path.dirname(listing.path) or '.',
        names=pack_texts([os.fsencode(names[row]) for row in kept.tolist()]),
        first=np.array([*first.tolist(), len(kept)], np.int64),
        product_ids=ids[first],
        keys=pack_texts([keys[row] for row in kept[first].tolist()]),
        category_ids=category_ids[first],
        are_from_paths=_lack_product(table)[rows[kept[first]]],
        notes=Counter(rows=len(order) - len(kept)),
        splits=_splits(table, rows[kept], first),
        groups=_groups(table, rows[kept[first]]),
    )


def _names(column: Any, listing: Listing) -> tuple[list[str], Int64s]:
    """Returns the path of each photo, and its row [photos]."""
    import pyarrow as pa

    cells = column.to_pylist()
    if pa.types.is_list(column.type):
        rows = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
        cells = [name for cell in cells for name in cell]
    else:
        rows = np.arange(len(cells))
    root = os.path.abspath(listing.root)
    names = []
    for name, row in zip(cells, rows.tolist(), strict=True):
        if not name or not name.strip():
            raise UserError(f'{listing.path}: a path must have a name, but row {row + 1} has none')
        path = list_columns.file_path(name, row=row + 1, path=listing.path)
        names.append(path.removeprefix(f'{root}/'))
    return names, rows


def _category_ids(table: Any, listing: Listing) -> Int64s:
    """Returns the category id of each row, int64 [rows]."""
    if 'category' not in table.column_names:
        return np.full(table.num_rows, NO_CATEGORY)
    column = table['category']
    if not (_is_text(column) or listing.category_ids):
        ids: Int64s = column.fill_null(NO_CATEGORY).to_numpy()
        return ids
    known = dict(listing.category_ids)
    return np.array(
        [
            NO_CATEGORY if cell is None else known.get(str(cell), UNKNOWN_CATEGORY)
            for cell in column.to_pylist()
        ],
        np.int64,
    )


def _product_ids(
    table: Any, names: Sequence[str], rows: Int64s, listing: Listing
) -> tuple[Int64s, list[bytes]]:
    """Returns the product id of each photo, int64 [photos], and its key.

    A row without a product is a product, and the path of its first photo is its key.
    """
    given: Iterable[int | str | None] = itertools.repeat(None)
    if 'product' in table.column_names:
        given = table['product'].to_pylist()
    firsts = dict(zip(reversed(rows.tolist()), reversed(names), strict=True))
    by_row: list[tuple[int, bytes]] = []
    for row, product in zip(range(table.num_rows), given, strict=False):
        if isinstance(product, int):
            by_row.append((product, b''))
            continue
        kind, text = product_key.STRING, product
        if text is None:
            kind = product_key.PATH
            text = firsts.get(row, '')
        by_row.append((product_key.product_id(kind, text), product_key.encode(text)))
    ids = np.array([by_row[row][0] for row in rows.tolist()], np.int64)
    return ids, [by_row[row][1] for row in rows.tolist()]


def _lack_product(table: Any) -> npt.NDArray[np.bool_]:
    """Returns whether each row has no product, bool [rows]."""
    if 'product' not in table.column_names:
        return np.ones(table.num_rows, bool)
    lacks: npt.NDArray[np.bool_] = table['product'].is_null().to_numpy()
    return lacks


def _splits(table: Any, rows: Int64s, first: Int64s) -> tuple[str, ...] | None:
    """Returns the split of each product [products], from its rows.

    Args:
      table: The list.
      rows: Row of each photo, int64 [photos].
      first: Index of each product's first photo, int64 [products].
    """
    if 'split' not in table.column_names:
        return None
    cells = ['' if cell is None else str(cell) for cell in table['split'].to_pylist()]
    bounds = pairwise([*first.tolist(), len(rows)])
    return tuple(
        ' and '.join(dict.fromkeys(cells[row] for row in rows[begin:end].tolist()))
        for begin, end in bounds
    )


def _groups(table: Any, rows: Int64s) -> Int64s | None:
    """Returns the group of each product, int64 [products], from the row of its first photo."""
    if 'group' not in table.column_names:
        return None
    cells = table['group'].to_pylist()
    groups = [
        NO_GROUP if cells[row] is None else _group_number(cells[row]) for row in rows.tolist()
    ]
    return np.array(groups, np.int64)


def _group_number(cell: int | str) -> int:
    if isinstance(cell, int):
        return cell
    return product_key.product_id(product_key.STRING, cell)


def _are_new(
    order: Int64s, names: Sequence[str], ids: Int64s, category_ids: Int64s
) -> npt.NDArray[np.bool_]:
    """Returns whether each row of an order differs from the one before, bool [rows]."""
    ids, category_ids = ids[order], category_ids[order]
    new = np.ones(len(order), bool)
    new[1:] = (ids[1:] != ids[:-1]) | (category_ids[1:] != category_ids[:-1])
    for place in np.flatnonzero(~new).tolist():
        new[place] = names[order[place]] != names[order[place - 1]]
    return new


def _is_text(column: Any) -> bool:
    import pyarrow as pa

    return not pa.types.is_integer(column.type)
