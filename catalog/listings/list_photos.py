"""Lists the photos in a list file. The rules are documented in `catalog.sources.photo_files`."""

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import product_key
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.listings import runs
from catalog.listings.listing import Int64s, Listing, NoKnownCategory, Photos, pack_texts
from catalog.photos import list_columns, list_file
from catalog.photos.confined import Rules
from catalog.photos.list_file import PhotoList
from catalog.schema.absent import NO_CATEGORY, NO_GROUP, UNKNOWN_CATEGORY

_MOST = np.iinfo(np.int64).max


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
    table = list_file.read(path, rules, columns).table
    if not table.num_rows:
        raise UserError(f'{path}: must list at least one photo, got none')
    if 'category' not in table.column_names:
        raise UserError(describe_unlabelled(path))
    if not (_is_text(table['category']) or tree.codes):
        return listing
    ids = {}
    texts = list(count_categories(path, rules, columns))
    for text in texts:
        category_id = tree.id_of(tree.find(text))
        if category_id is not None:
            ids[text] = category_id
    if texts and not ids:
        raise NoKnownCategory(
            f'{path}: the column category must have ids or names of the category tree, got '
            f'{texts[0]!r}; the nearest is {tree.nearest_path(texts[0])!r}'
        )
    return dataclasses.replace(listing, category_ids=tuple(ids.items()))


def count_categories(path: str, rules: Rules, columns: Mapping[str, str]) -> dict[str, int]:
    """Returns the number of rows of each category of a list, as text; none without a column.

    Raises:
      UserError: If the list is invalid.
    """
    table = list_file.read(path, rules, columns).table
    if 'category' not in table.column_names:
        return {}
    counts = table['category'].value_counts().to_pylist()
    return {str(row['values']): row['counts'] for row in counts if row['values'] is not None}


def describe_unlabelled(path: str) -> str:
    """Returns what a list without categories must have."""
    return (
        f'{path}: must have a column category, as its photos are labelled; another name is given '
        'by --fields=category=COLUMN, and --unlabelled reads photos without categories'
    )


def list_photos(listing: Listing) -> Photos:
    """Returns the photos of a list.

    Raises:
      UserError: If the list is invalid.
    """
    found = list_file.read(listing.path, listing.rules, dict(listing.columns))
    table = found.table
    names, rows = _names(found, listing)
    category_ids, texts = _category_ids(table, listing), _texts(table)
    ids, keys = _product_ids(table, names, rows)
    by_path = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    order = by_path[np.argsort(ids[by_path], kind='stable')]
    of_product = _Rows(rows[order], runs.starts(ids[order]))
    categories_of, conflicts = of_product.agree(category_ids, NO_CATEGORY)
    refused = {
        number: ('conflicting_categories', _conflict('categories', texts, pair, found.rows))
        for number, pair in conflicts.items()
    }
    groups = None
    if 'group' in table.column_names:
        shown = table['group'].to_pylist()
        groups, conflicts = of_product.agree(_groups(shown), NO_GROUP)
        for number, pair in conflicts.items():
            message = _conflict('groups', shown, pair, found.rows)
            refused.setdefault(number, ('conflicting_groups', message))
    kept = order[_are_new(order, names, ids)]
    first = runs.starts(ids[kept])
    return Photos(
        folder=os.path.dirname(listing.path) or '.',
        names=pack_texts([os.fsencode(names[row]) for row in kept.tolist()]),
        first=np.array([*first.tolist(), len(kept)], np.int64),
        product_ids=ids[kept[first]],
        keys=pack_texts([keys[row] for row in kept[first].tolist()]),
        category_ids=categories_of,
        are_from_paths=_lack_product(table)[rows[kept[first]]],
        notes=Counter(rows=len(order) - len(kept)),
        splits=of_product.splits(table) if 'split' in table.column_names else None,
        groups=groups,
        lines=found.notes,
        rows=found.rows[rows[kept]],
        refused=refused,
        category_texts={
            number: texts[of_product.row_with(number, category_ids, UNKNOWN_CATEGORY)]
            for number in np.flatnonzero(categories_of == UNKNOWN_CATEGORY).tolist()
        },
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of each product.

    Attributes:
      rows: Row of each photo, product by product, int64 [photos].
      first: Index of each product's first photo, int64 [products].
    """

    rows: Int64s
    first: Int64s

    def agree(self, values: Int64s, absent: int) -> tuple[Int64s, dict[int, tuple[int, int]]]:
        """Returns the value of each product, int64 [products], and two rows of those that differ.

        Rows without a value do not count.

        Args:
          values: Value of each row, int64 [rows].
          absent: What rows without a value have, the smallest int64.
        """
        if not len(self.rows):
            return np.zeros(0, np.int64), {}
        found = values[self.rows]
        most = np.maximum.reduceat(found, self.first)
        least = np.minimum.reduceat(np.where(found == absent, _MOST, found), self.first)
        differ = np.flatnonzero((most != absent) & (least != most))
        pairs = {
            number: (
                self.row_with(number, values, int(least[number])),
                self.row_with(number, values, int(most[number])),
            )
            for number in differ.tolist()
        }
        return most, pairs

    def row_with(self, number: int, values: Int64s, value: int) -> int:
        """Returns the first row of a product that has a value."""
        rows = self._rows_of(number)
        return int(rows[np.argmax(values[rows] == value)])

    def splits(self, table: Any) -> tuple[str, ...]:
        """Returns the split of each product [products], several where its rows differ."""
        cells = ['' if cell is None else str(cell) for cell in table['split'].to_pylist()]
        return tuple(
            ' and '.join(
                cell
                for cell in dict.fromkeys(cells[row] for row in self._rows_of(number).tolist())
                if cell
            )
            for number in range(len(self.first))
        )

    def _rows_of(self, number: int) -> Int64s:
        end = self.first[number + 1] if number + 1 < len(self.first) else len(self.rows)
        return self.rows[self.first[number] : end]


def _texts(table: Any) -> list[str]:
    """Returns the category of each row as text [rows]."""
    if 'category' not in table.column_names:
        return []
    return [str(cell) for cell in table['category'].to_pylist()]


def _conflict(what: str, cells: Sequence[object], pair: tuple[int, int], rows: Int64s) -> str:
    one, other = sorted(pair)
    return (
        f'its rows {rows[one]} and {rows[other]} name the {what} {cells[one]!r} and '
        f'{cells[other]!r}'
    )


def _names(found: PhotoList, listing: Listing) -> tuple[list[str], Int64s]:
    """Returns the path of each photo, and the index of its row [photos]."""
    import pyarrow as pa

    column = found.table['path']
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
            raise UserError(
                f'{listing.path}: a path must have a name, but row {found.rows[row]} has none'
            )
        path = list_columns.file_path(name, row=int(found.rows[row]), path=listing.path)
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


def _product_ids(table: Any, names: Sequence[str], rows: Int64s) -> tuple[Int64s, list[bytes]]:
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


def _groups(cells: Sequence[int | str | None]) -> Int64s:
    """Returns the group of each row, int64 [rows]."""
    return np.array([NO_GROUP if cell is None else _group_number(cell) for cell in cells], np.int64)


def _group_number(cell: int | str) -> int:
    if isinstance(cell, int):
        return cell
    return product_key.product_id(product_key.STRING, cell)


def _are_new(order: Int64s, names: Sequence[str], ids: Int64s) -> npt.NDArray[np.bool_]:
    """Returns whether the product or the path of each photo differs from the one before."""
    new = np.ones(len(order), bool)
    new[1:] = ids[order][1:] != ids[order][:-1]
    for place in np.flatnonzero(~new).tolist():
        new[place] = names[order[place]] != names[order[place - 1]]
    return new


def _is_text(column: Any) -> bool:
    import pyarrow as pa

    return not pa.types.is_integer(column.type)
