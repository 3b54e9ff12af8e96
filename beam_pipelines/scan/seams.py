"""Proves that every byte of a source is in exactly one document. Knows no Beam.

A range guesses its first document by a signature, which the bytes of a picture can fake. A document
begins at byte 0. So the first document of the next range must begin where the last document of this
range ends, and so on to the end of the file. Where two neighbours do not meet, the range is scanned
again from the proven end of the range before it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from catalog.sources.source import Range


@dataclass(frozen=True)
class Edge:
    """The ends of what a scan found in a range.

    Attributes:
      range: The range that was scanned.
      first: Where its first document begins. None if it has none.
      end: Where its last document ends. None if it has none.
    """

    range: Range
    first: int | None
    end: int | None


@dataclass(frozen=True)
class Proof:
    """The ranges whose scans are correct, and those to scan again.

    Attributes:
      proven: (file, start) of the ranges whose scans are correct.
      again: The other ranges that contain documents, by (file, start), with `first` set.
    """

    proven: frozenset[tuple[int, int]]
    again: Mapping[tuple[int, int], Range]


def prove(edges: Iterable[Edge], read_to_end: Callable[[Range], int | None]) -> Proof:
    """Proves the scans of all ranges of a source, or finds those to scan again.

    Args:
      edges: The edges of all ranges, in any order.
      read_to_end: Returns where the last document of a range ends, without reading pictures.
    """
    proven = set()
    again = {}
    file, at = -1, 0  # `at`: where the next document begins, proven
    for edge in sorted(edges, key=lambda edge: (edge.range.file, edge.range.start)):
        part = edge.range
        place = part.file, part.start
        if part.file != file:
            file, at = part.file, 0
        if at >= part.stop:  # a document that begins before this range ends after it
            if edge.first is None:
                proven.add(place)
        elif edge.first == at and edge.end is not None:
            proven.add(place)
            at = edge.end
        else:
            again[place] = replace(part, first=at)
            end = read_to_end(again[place])
            at = at if end is None else end
    return Proof(frozenset(proven), again)
