"""Finds repeated products, repeated pictures and leaked pictures. Knows no Beam."""

from collections import Counter

import numpy as np

from beam_pipelines.plan import rules
from beam_pipelines.table import (
    DOCUMENT,
    LEAKED,
    NEAR_COPY,
    SAME_BYTES,
    Table,
    key_bytes,
    sort_by,
    with_columns,
    with_key,
)
from catalog import product_key
from catalog.listings import runs


def documents(table: Table) -> Table:
    """Returns one row per document, with the columns DOCUMENT."""
    table = with_columns(table, with_key(DOCUMENT, key_bytes(table.dtype)))
    return table[runs.starts(table['product_id'], table['document'], table['file'])]


def later_documents(table: Table) -> Table:
    """Returns the documents whose product id an earlier one in the source has, as DOCUMENT.

    The table must contain all documents of each product id.

    Raises:
      UserError: If two keys have the same number.
    """
    table = sort_by(table, 'product_id', 'file', 'document')
    later = np.ones(len(table), bool)
    later[runs.starts(table['product_id'])] = False
    if key_bytes(table.dtype) and later.any():
        again = table[np.isin(table['product_id'], table['product_id'][later])]
        keys = (product_key.encode(product_key.decode(key)) for key in again['key'])
        product_key.check_numbers(zip(again['product_id'].tolist(), keys, strict=True))
    return with_columns(table[later], DOCUMENT)


def separate(table: Table, later: Table) -> tuple[Table, Table]:
    """Returns the rows that do not belong to the documents `later`, and those that do."""
    found = np.isin(table['product_id'], later['product_id'])
    if not found.any():
        return table, table[:0]
    wanted = set(with_columns(later, DOCUMENT).tolist())
    found[found] = [row in wanted for row in with_columns(table[found], DOCUMENT).tolist()]
    return table[~found], table[found]


def mark_repeats(table: Table) -> tuple[Table, Counter[str]]:
    """Marks every picture that repeats the bytes of an earlier one by product id and position.

    The table must contain all rows of each hash.

    Returns:
      The rows, and counts: `duplicate_pictures`, the marked ones; `conflicting_hashes`, contents
      in two categories or more; `conflicting_pictures`, the pictures with these contents.
    """
    table = sort_by(table, 'hash_high', 'hash_low', 'product_id', 'index')
    first = runs.starts(table['hash_high'], table['hash_low'])
    table['repeat'] = 1
    table['repeat'][first] = 0
    labels = table['label']
    lowest = np.minimum.reduceat(labels, first) if len(first) else labels
    highest = np.maximum.reduceat(labels, first) if len(first) else labels
    conflict = lowest != highest
    sizes = np.diff([*first, len(table)])
    return table, Counter(
        duplicate_pictures=int(table['repeat'].sum()),
        conflicting_hashes=int(conflict.sum()),
        conflicting_pictures=int(sizes[conflict].sum()),
    )


def leaked(table: Table) -> Table:
    """Returns the held-out pictures whose bytes occur in train too.

    The table must contain all rows of each hash.
    """
    table = sort_by(table, 'hash_high', 'hash_low')
    if not len(table):
        return table
    first = runs.starts(table['hash_high'], table['hash_low'])
    in_train = np.bitwise_or.reduceat(table['split'] == rules.TRAIN, first)
    held_out = table['split'] != rules.TRAIN
    found = table[in_train[runs.numbers(first, len(table))] & held_out]
    found['leaked'] = SAME_BYTES
    return found


def mark_leaked(table: Table, leaked: Table) -> Table:
    """Marks the pictures `leaked` in a table without copies.

    A picture that is in `leaked` for its bytes and as a near copy is marked for its bytes.
    """
    found = np.flatnonzero(np.isin(table['product_id'], leaked['product_id']))
    if len(found):
        rows = with_columns(leaked, LEAKED).tolist()
        marks = {row: row[2] for row in rows if row[2] == NEAR_COPY}
        marks |= {row: row[2] for row in rows if row[2] == SAME_BYTES}
        by_picture = {row[:2]: mark for row, mark in marks.items()}
        table['leaked'][found] = [
            by_picture.get(row[:2], 0) for row in with_columns(table[found], LEAKED).tolist()
        ]
    return table
