"""Packs rows for transport, without the bytes that are zero in every row.

Columns have room for the numbers of any shop, and those of one shop are small: half of the bytes of
its rows are zero. A local runner keeps what moves in memory, several times over, and Dataflow
charges for it.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines.table import Table, empty, key_bytes
from catalog.listings import runs


def pack(rows: Table, kept: np.dtype[np.void]) -> bytes:
    """Packs the columns `kept` of all rows.

    One bit for each byte of a row, which is 1 if the byte is stored; then these bytes, row by row.
    """
    head, data = _without_zeros(rows, kept)
    return head + data.tobytes()


def pack_by_key(
    rows: Table, keys: npt.NDArray[Any], kept: np.dtype[np.void]
) -> Iterator[tuple[int, bytes]]:
    """Yields each key with its rows, packed, in order of the keys. Keeps the order in a key."""
    head, data = _without_zeros(rows, kept)
    for key, same_key in runs.groups(data.view(f'V{data.shape[1]}')[:, 0], keys):
        yield key, head + same_key.tobytes()


def unpack(parts: Iterable[bytes], kept: np.dtype[np.void]) -> Table:
    """Returns one table of all packed rows, with all columns. Those not in `kept` are zeros."""
    row = empty(0, key_bytes=key_bytes(kept)).dtype
    head_bytes = -(-kept.itemsize // 8)
    by_head = defaultdict(list)
    for part in parts:
        by_head[part[:head_bytes]].append(memoryview(part)[head_bytes:])
    found = []  # byte positions in a row, and the bytes
    for head, data in by_head.items():
        stored = np.unpackbits(np.frombuffer(head, np.uint8), count=kept.itemsize)
        positions = _byte_positions(kept, row)[stored.astype(bool)]
        packed = np.frombuffer(b''.join(data), np.uint8).reshape(-1, len(positions))
        found.append((positions, packed))
    rows = empty(sum(len(packed) for _, packed in found), key_bytes=key_bytes(kept))
    row_bytes, begin = _bytes(rows), 0
    for positions, packed in found:
        row_bytes[begin : begin + len(packed), positions] = packed
        begin += len(packed)
    return rows


def _without_zeros(rows: Table, kept: np.dtype[np.void]) -> tuple[bytes, npt.NDArray[np.uint8]]:
    """Returns the bits of the stored bytes of a row of `kept`, and these, uint8 [rows, bytes]."""
    row_bytes = _bytes(rows)
    positions = _byte_positions(kept, rows.dtype)
    stored = np.any(row_bytes, axis=0)[positions]
    stored[0] = True  # shows how many rows there are
    return np.packbits(stored).tobytes(), row_bytes.take(positions[stored], axis=1)


def _bytes(rows: Table) -> npt.NDArray[np.uint8]:
    """Returns a view of the bytes of each row, uint8 [rows, bytes]."""
    return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)


@functools.cache
def _byte_positions(kept: np.dtype[np.void], row: np.dtype[np.void]) -> npt.NDArray[np.int64]:
    """Returns where the bytes of the columns `kept` are in a row with the columns `row`."""
    starts = {name: field[1] for name, field in (row.fields or {}).items()}
    widths = {name: kept[name].itemsize for name in kept.names or ()}
    return np.concatenate([np.arange(starts[name], starts[name] + widths[name]) for name in widths])
