"""The parts of an input. A chunk of products that a model computes together is within one part.

So the chunks, and with them every bit of a prediction, are the same whether one process reads a
file from its beginning or many workers read a part each.
"""

from collections.abc import Sequence

from catalog.sources.source import Range, Source

PART_BYTES = 8 << 20  # 8 MiB


def split(source: Source) -> Sequence[Range]:
    """Returns the parts of a source in order."""
    return source.split(range_bytes=PART_BYTES)


def part_of(position: int) -> int:
    """Returns the number of the part of a BSON file in which a product begins at a byte."""
    return position // PART_BYTES
