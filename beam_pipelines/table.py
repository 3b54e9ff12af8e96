"""The columns that move through Beam: one row a picture. Owns their types and how rows group.

A worker's tables have all columns; those that move from step to step only what the next step
needs. A local runner keeps all that ever moved in memory.

Where many rows are copied it is by `take` and by their bytes: an index, a mask and `concatenate`
copy rows field by field, in thirty times the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.void]  # rows of ROW, or of some of its columns

CONVERT = 1  # must become an RGB JPEG
BLANK = 2  # shows nothing

ROW = np.dtype(
    [
        ('product_id', '<i8'),
        ('hash_high', '<u8'),  # XXH3-128 of the picture's bytes
        ('hash_low', '<u8'),
        ('offset', '<i8'),  # where the source finds the picture: in bytes, or a source's own number
        ('document', '<i8'),  # where the source finds the product
        ('length', '<i4'),  # bytes in the source
        ('label', '<i4'),  # -1 in unlabelled data
        ('file', '<i4'),  # which file of the source
        ('shard', '<i4'),  # index within the split
        ('index', '<i2'),  # position in the source document
        ('copy', '<i2'),  # 0 for the first
        ('split', 'u1'),  # index in catalog.shards.SPLITS
        ('traits', 'u1'),  # of the picture: CONVERT, BLANK, both or neither
        ('leaked', 'u1'),  # 1 where the same bytes occur in train
        ('repeat', 'u1'),  # 1 where an earlier product or view has the same bytes
    ]
)


def _columns(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, ROW[name]) for name in names])


# What a scan tells of a picture.
SCANNED = _columns(
    'product_id', 'hash_high', 'hash_low', 'offset', 'document', 'length', 'label', 'file', 'index',
    'traits', 'repeat',
)  # fmt: skip
# What tells which documents have the same product id.
DOCUMENT = _columns('product_id', 'document', 'file')
# What is split: whole classes.
CLASSED = _columns(
    'product_id', 'hash_high', 'hash_low', 'offset', 'length', 'label', 'file', 'index', 'traits',
    'repeat',
)  # fmt: skip
# What is dealt: whole classes, each product with its split.
SPLIT = _columns(
    'product_id', 'hash_high', 'hash_low', 'offset', 'length', 'label', 'file', 'index', 'split',
    'traits',
)  # fmt: skip
# What tells which pictures come again, and which shard shows them.
SHOWN = _columns('product_id', 'hash_high', 'hash_low', 'label', 'shard', 'index', 'split')
# What a shard is written from. Half of the hash tells whether a picture's bytes are still the same.
DEALT = _columns(
    'product_id', 'hash_low', 'offset', 'length', 'label', 'file', 'index', 'copy', 'traits'
)
# Which picture of a shard train shows too.
LEAKED = _columns('product_id', 'index')


def empty(rows: int) -> Table:
    """A table of zeros, with all columns."""
    return np.zeros(rows, ROW)


def columns(table: Table, kept: np.dtype[np.void]) -> Table:
    """The table with other columns: those it has not are zeros."""
    if table.dtype == kept:
        return table
    made = np.zeros(len(table), kept)
    for name in set(kept.names or ()) & set(table.dtype.names or ()):
        made[name] = table[name]
    return made


def join(tables: Iterable[Table]) -> Table:
    """One table of several that have the same columns; the joined has all."""
    parts = [table for table in tables if len(table)]
    return columns(end_to_end(parts, parts[0].dtype), ROW) if parts else empty(0)


def end_to_end(tables: Sequence[Table], kept: np.dtype[np.void]) -> Table:
    """One table of several that all have the columns `kept`."""
    return np.frombuffer(bytearray().join([table.tobytes() for table in tables]), kept)


def sort_by(table: Table, *names: str) -> Table:
    """The rows in order of the named columns, the first the most significant."""
    return table.take(np.lexsort([table[name] for name in reversed(names)]))


def starts(*columns: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where each run of equal rows begins, int64 [runs]; rows are equal if all columns are."""
    rows = len(columns[0])
    if not rows:
        return np.zeros(0, np.int64)
    changed = np.zeros(rows, bool)
    changed[0] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)


def runs(first: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """The number of each row's run, int64 [rows], from what `starts` gave."""
    number = np.zeros(rows, np.int64)
    number[first[1:]] = 1
    return np.cumsum(number)


def groups(table: Table, keys: npt.NDArray[Any]) -> Iterator[tuple[int, Table]]:
    """The rows of each key, in order of the keys; the order within a key is kept."""
    order = np.argsort(keys, kind='stable')
    keys, table = keys[order], table.take(order)
    for begin, end in pairwise([*starts(keys).tolist(), len(keys)]):
        yield int(keys[begin]), table[begin:end]
