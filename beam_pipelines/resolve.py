"""Which products come twice, and which pictures. Pure: knows no Beam."""

from collections import Counter

import numpy as np

from beam_pipelines import plan
from beam_pipelines.table import Table, runs, sort_by, starts


def first_products(table: Table) -> tuple[Table, Table]:
    """Splits rows into those of the first document of each product id, and the others.

    Which document is first: the one that comes first in the source. All rows of a product id must
    be in the table.
    """
    table = sort_by(table, 'product_id', 'file', 'document', 'index')
    product = starts(table['product_id'])
    document = runs(starts(table['product_id'], table['file'], table['document']), len(table))
    first = document == document[product][runs(product, len(table))]
    return table[first], table[~first]


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


def mark_leaked(table: Table) -> Table:
    """Marks the held-out pictures whose bytes occur in train too.

    All rows with the same hash must be in the table.
    """
    table = sort_by(table, 'hash_high', 'hash_low')
    if not len(table):
        return table
    first = starts(table['hash_high'], table['hash_low'])
    in_train = np.bitwise_or.reduceat(table['split'] == plan.TRAIN, first)
    held_out = table['split'] != plan.TRAIN
    table['leaked'] = in_train[runs(first, len(table))] & held_out
    return table
