"""Batch size and image size of the input benchmark, and its pictures as bytes in memory."""

import struct
from collections.abc import Iterator
from pathlib import Path

BATCH = 128
SIDE = 180  # pixels

Counts = Iterator[int]


def pictures(folder: Path) -> list[tuple[bytes, int]]:
    """Reads the train pictures and their labels from the file of `input_files`."""
    data = (folder / 'pictures.bin').read_bytes()
    found, offset = [], 0
    while offset < len(data):
        label, length = struct.unpack_from('<II', data, offset)
        found.append((data[offset + 8 : offset + 8 + length], label))
        offset += 8 + length
    return found
