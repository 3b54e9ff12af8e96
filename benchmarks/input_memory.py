"""The pictures of the input benchmark as bytes in memory, and how large its batches are."""

import struct
from collections.abc import Iterator
from pathlib import Path

BATCH = 128
SIDE = 180  # pixels

Counts = Iterator[int]


def pictures(folder: Path) -> list[tuple[bytes, int]]:
    """The train pictures and their labels, from the file that `input_files` wrote."""
    data = (folder / 'pictures.bin').read_bytes()
    found, offset = [], 0
    while offset < len(data):
        label, length = struct.unpack_from('<II', data, offset)
        found.append((data[offset + 8 : offset + 8 + length], label))
        offset += 8 + length
    return found
