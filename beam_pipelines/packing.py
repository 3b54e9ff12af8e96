"""Rows as bytes, as they travel: without those that are zero in every row.

Columns have room for any shop's numbers, and those of one shop are small: half of its rows' bytes
are zero. A local runner holds in memory what travels, several times over, and Dataflow charges for
it.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines.table import ROW, Table, empty, groups


def pack(rows: Table, kept: np.dtype[np.void]) -> bytes:
    """The columns `kept` of all rows.

    A bit for each byte of a row, whether it is there; then these bytes, row by row.
    """
    head, data = _without_zeros(rows, kept)
    return head + data.tobytes()


def pack_by(
    rows: Table, keys: npt.NDArray[Any], kept: np.dtype[np.void]
) -> Iterator[tuple[int, bytes]]:
    """The rows of each key, packed, in order of the keys; the order within a key is kept."""
    head, data = _without_zeros(rows, kept)
    for key, of_key in groups(data.view(f'V{data.shape[1]}')[:, 0], keys):
        yield key, head + of_key.tobytes()


def unpack(parts: Iterable[bytes], kept: np.dtype[np.void]) -> Table:
    """One table of all that was packed, with all columns; those not in `kept` are zeros."""
    head_bytes = -(-kept.itemsize // 8)
    alike = defaultdict(list)
    for part in parts:
        alike[part[:head_bytes]].append(memoryview(part)[head_bytes:])
    found = []  # where their bytes lie in a row, and the bytes
    for head, data in alike.items():
        there = np.unpackbits(np.frombuffer(head, np.uint8), count=kept.itemsize)
        at = _bytes_of(kept, ROW)[there.astype(bool)]
        found.append((at, np.frombuffer(b''.join(data), np.uint8).reshape(-1, len(at))))
    rows = empty(sum(len(packed) for _, packed in found))
    every, begin = _bytes(rows), 0
    for at, packed in found:
        every[begin : begin + len(packed), at] = packed
        begin += len(packed)
    return rows


def _without_zeros(rows: Table, kept: np.dtype[np.void]) -> tuple[bytes, npt.NDArray[np.uint8]]:
    """Which bytes of a row of `kept` are there, as bits; and these, uint8 [rows, bytes]."""
    every = _bytes(rows)
    at = _bytes_of(kept, rows.dtype)
    there = np.any(every, axis=0)[at]
    there[0] = True  # tells how many rows there are
    return np.packbits(there).tobytes(), every.take(at[there], axis=1)


def _bytes(rows: Table) -> npt.NDArray[np.uint8]:
    """The bytes of each row, uint8 [rows, bytes]."""
    return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)


@functools.cache
def _bytes_of(kept: np.dtype[np.void], whole: np.dtype[np.void]) -> npt.NDArray[np.int64]:
    """Where the bytes of the columns `kept` lie in a row with the columns `whole`."""
    starts = {name: field[1] for name, field in (whole.fields or {}).items()}
    widths = {name: kept[name].itemsize for name in kept.names or ()}
    return np.concatenate([np.arange(starts[name], starts[name] + widths[name]) for name in widths])
