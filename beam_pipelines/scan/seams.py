"""Is every byte of the source in exactly one document? Pure: knows no Beam.

A range's first document is found by a signature, which a picture's bytes can fake. Byte 0 begins a
document; so the first document of the next range must begin where the last one of this range ends,
and so on to the file's end. Where two neighbours do not meet, the range is walked again from the
end of the one before it, which is proven.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from beam_pipelines.scan.scan import Range


@dataclass(frozen=True, order=True)
class Edge:
    """What a scan says of a range: where its first document begins and its last one ends."""

    file: int
    start: int
    stop: int
    first: int | None
    end: int | None


@dataclass(frozen=True)
class Proof:
    """Which scans hold, and what must be scanned again.

    Attributes:
      proven: (file, start) of the ranges whose scans hold.
      again: by (file, start) of the others that have documents, where the first of these begins.
    """

    proven: frozenset[tuple[int, int]]
    again: Mapping[tuple[int, int], int]


def prove(edges: Iterable[Edge], end_of: Callable[[Range, int], int]) -> Proof:
    """Proves the scans of all ranges of a source, or says what must be scanned again.

    Args:
      edges: of all ranges, in any order.
      end_of: walks a range from the start of its first document, without looking at pictures.
    """
    proven = set()
    again = {}
    file, at = -1, 0  # `at`: where the next document begins, proven
    for edge in sorted(edges, key=lambda edge: (edge.file, edge.start)):
        if edge.file != file:
            file, at = edge.file, 0
        if at >= edge.stop:  # a document that begins before this range ends after it
            if edge.first is None:
                proven.add((edge.file, edge.start))
        elif edge.first == at and edge.end is not None:
            proven.add((edge.file, edge.start))
            at = edge.end
        else:
            again[edge.file, edge.start] = at
            at = end_of(Range(edge.file, edge.start, edge.stop), at)
    return Proof(frozenset(proven), again)
