"""The columns that move through Beam, one row per picture, and operations on tables.

A worker's tables have all columns. Between steps, only the columns that the next step needs move: a
local runner keeps everything that ever moved in memory.

Where many rows are copied, use `take` or bytes: an index, a mask and `np.concatenate` copy rows
field by field, which takes thirty times as long.

Where the shop's ids are not integers, all tables have the columns `key`, the id as in the source in
UTF-8, and `document`. Elsewhere they would only slow the copies down.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.void]  # rows of ROW, or of some of its columns

CONVERT = 1  # must be converted to an RGB JPEG
BLANK = 2  # shows nothing
PSEUDO = 4  # its product has a pseudo-label

SAME_BYTES = 1  # train contains the same bytes
NEAR_COPY = 2  # train contains a picture that looks the same, with other bytes

ROW = np.dtype(
    [
        ('product_id', '<i8'),
        ('hash_high', '<u8'),  # XXH3-128 of the picture's bytes
        ('hash_low', '<u8'),
        ('offset', '<i8'),  # where the source finds the picture, in the source's own units
        ('document', '<i8'),  # where the source finds the product
        ('length', '<i4'),  # bytes in the source
        ('label', '<i4'),  # -1 in unlabelled data
        ('file', '<i4'),  # number of the file in the source
        ('shard', '<i4'),  # index within the split
        ('index', '<i2'),  # position in the source document
        ('copy', '<i2'),  # 0 for the first
        ('split', 'u1'),  # index in catalog.shards.SPLITS; before the split: 1 + index, or 0
        ('traits', 'u1'),  # of the picture: bits CONVERT, BLANK, PSEUDO
        ('leaked', 'u1'),  # SAME_BYTES, NEAR_COPY or 0
        ('repeat', 'u1'),  # 1 if an earlier product or view has the same bytes
    ]
)


def _columns(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, ROW[name]) for name in names])


# The result of a scan.
SCANNED = _columns(
    'product_id', 'hash_high', 'hash_low', 'offset', 'document', 'length', 'label', 'file', 'index',
    'split', 'traits', 'repeat',
)  # fmt: skip
# Finds the documents with the same product id.
DOCUMENT = _columns('product_id', 'document', 'file')
# Complete classes, to be split.
CLASSED = _columns(
    'product_id', 'hash_high', 'hash_low', 'offset', 'length', 'label', 'file', 'index', 'split',
    'traits', 'repeat',
)  # fmt: skip
# Complete classes with splits, to be dealt to shards.
SPLIT = _columns(
    'product_id', 'hash_high', 'hash_low', 'offset', 'length', 'label', 'file', 'index', 'split',
    'traits',
)  # fmt: skip
# Finds the pictures with the same bytes, and their shards.
CONTENT = _columns('product_id', 'hash_high', 'hash_low', 'label', 'shard', 'index', 'split')
# What a shard is written from. Half of the hash shows whether the bytes are still the same.
DEALT = _columns(
    'product_id', 'hash_low', 'offset', 'length', 'label', 'file', 'index', 'copy', 'traits'
)
# What a part of the source is copied for: which bytes go to which shard.
CUT = _columns('offset', 'length', 'file', 'shard', 'split')
# Identifies a picture of a shard that train contains too.
LEAKED = _columns('product_id', 'index', 'leaked')


def with_key(kept: np.dtype[np.void], key_bytes: int) -> np.dtype[np.void]:
    """Returns the columns, and `document` and a `key` of `key_bytes` bytes unless that is 0."""
    if not key_bytes:
        return kept
    columns = {name: kept[name] for name in kept.names or ()}
    columns |= {'document': ROW['document'], 'key': np.dtype(f'S{key_bytes}')}
    return np.dtype(list(columns.items()))


def key_bytes(kept: np.dtype[np.void]) -> int:
    """Returns the size of the column `key`; 0 if there is none."""
    return kept['key'].itemsize if 'key' in (kept.names or ()) else 0


def empty(rows: int, *, key_bytes: int = 0) -> Table:
    """Returns a table of zeros with all columns."""
    return np.zeros(rows, with_key(ROW, key_bytes))


def with_columns(table: Table, kept: np.dtype[np.void]) -> Table:
    """Returns the table with the columns `kept`. Those that it does not have are zeros."""
    if table.dtype == kept:
        return table
    made = np.zeros(len(table), kept)
    for name in set(kept.names or ()) & set(table.dtype.names or ()):
        made[name] = table[name]
    return made


def join(tables: Iterable[Table]) -> Table:
    """Concatenates tables that have the same columns. The result has all columns."""
    parts = [table for table in tables if len(table)]
    if not parts:
        return empty(0)
    columns = parts[0].dtype
    return with_columns(concatenate(parts, columns), with_key(ROW, key_bytes(columns)))


def concatenate(tables: Sequence[Table], kept: np.dtype[np.void]) -> Table:
    """Concatenates tables that all have the columns `kept`."""
    return np.frombuffer(bytearray().join([table.tobytes() for table in tables]), kept)


def sort_by(table: Table, *names: str) -> Table:
    """Returns the rows in order of the named columns, the first the most significant."""
    return table.take(np.lexsort([table[name] for name in reversed(names)]))
