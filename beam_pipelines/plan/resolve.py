"""Which products come twice, and which pictures. Pure: knows no Beam."""

from collections import Counter

import numpy as np

from beam_pipelines.plan import plan
from beam_pipelines.table import DOCUMENT, LEAKED, Table, columns, runs, sort_by, starts


def documents(table: Table) -> Table:
    """A row a document: DOCUMENT."""
    table = columns(table, DOCUMENT)
    return table[starts(table['product_id'], table['document'], table['file'])]


def later_documents(table: Table) -> Table:
    """The documents whose product id an earlier one in the source has: DOCUMENT.

    All documents of a product id must be in the table.
    """
    table = sort_by(table, 'product_id', 'file', 'document')
    later = np.ones(len(table), bool)
    later[starts(table['product_id'])] = False
    return columns(table[later], DOCUMENT)


def split_off(table: Table, later: Table) -> tuple[Table, Table]:
    """The rows of a table that are not of the documents `later`, and those that are."""
    found = np.isin(table['product_id'], later['product_id'])
    if not found.any():
        return table, table[:0]
    wanted = set(columns(later, DOCUMENT).tolist())
    found[found] = [row in wanted for row in columns(table[found], DOCUMENT).tolist()]
    return table[~found], table[found]


def mark_repeats(table: Table) -> tuple[Table, Counter[str]]:
    """Marks every picture whose bytes came before, in order of product id and position.

    All rows with the same hash must be in the table.

    Returns:
      the rows, and counts: `duplicate_pictures`, the marked ones; `conflicting_hashes`, contents
      that come under two categories or more; `conflicting_pictures`, the pictures with these.
    """
    table = sort_by(table, 'hash_high', 'hash_low', 'product_id', 'index')
    first = starts(table['hash_high'], table['hash_low'])
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
    """The held-out pictures whose bytes occur in train too.

    All rows with the same hash must be in the table.
    """
    table = sort_by(table, 'hash_high', 'hash_low')
    if not len(table):
        return table
    first = starts(table['hash_high'], table['hash_low'])
    in_train = np.bitwise_or.reduceat(table['split'] == plan.TRAIN, first)
    held_out = table['split'] != plan.TRAIN
    return table[in_train[runs(first, len(table))] & held_out]


def mark_leaked(table: Table, leaked: Table) -> Table:
    """Marks the pictures of `leaked` in a table of pictures that are not copied."""
    found = np.isin(table['product_id'], leaked['product_id'])
    if found.any():
        wanted = set(columns(leaked, LEAKED).tolist())
        table['leaked'][found] = [row in wanted for row in columns(table[found], LEAKED).tolist()]
    return table
