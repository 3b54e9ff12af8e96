"""Keeps some of the rejected pieces: all of a source may be rejected, but memory is limited."""

import heapq
import json
import zlib
from dataclasses import dataclass, field

from catalog.sources.source import Rejected

DEFAULT_LIMIT = 10_000

_LARGEST = 3


@dataclass
class RejectedPieces:
    """The first rejected pieces in source order, and the largest ones.

    Attributes:
      limit: Most pieces in `first`.
      first: The first pieces.
      largest: The largest pieces, the largest first.
      gap: The first piece where bytes are missing from the source. None if there is none.
    """

    limit: int
    first: list[Rejected] = field(default_factory=list)
    largest: list[Rejected] = field(default_factory=list)
    gap: Rejected | None = None

    def __getstate__(self) -> tuple[int, bytes]:
        # They are much alike: compressed, they take a tenth.
        groups = (self.sorted(), self.largest, [self.gap] if self.gap else [])
        rows = [[list(vars(piece).values()) for piece in group] for group in groups]
        return self.limit, zlib.compress(json.dumps(rows).encode(), 1)

    def __setstate__(self, state: tuple[int, bytes]) -> None:
        self.limit, packed = state
        rows = json.loads(zlib.decompress(packed))
        self.first, self.largest, gaps = ([Rejected(*row) for row in group] for group in rows)
        self.gap = gaps[0] if gaps else None

    def add(self, piece: Rejected) -> None:
        """Adds a piece."""
        self.first.append(piece)
        if len(self.first) >= 2 * self.limit + _LARGEST:
            self.first = heapq.nsmallest(self.limit, self.first, key=source_order)
        self._add_large([piece])
        if piece.gap:
            self._add_gap(piece)

    def join(self, other: 'RejectedPieces') -> None:
        """Adds the pieces of others."""
        self.first = heapq.nsmallest(self.limit, self.first + other.first, key=source_order)
        self._add_large(other.largest)
        if other.gap:
            self._add_gap(other.gap)

    def sorted(self) -> list[Rejected]:
        """Returns the first pieces, at most `limit`, in source order."""
        return heapq.nsmallest(self.limit, self.first, key=source_order)

    def _add_large(self, pieces: list[Rejected]) -> None:
        full = len(self.largest) == _LARGEST
        if pieces and not (full and pieces[0].length < self.largest[-1].length):
            found = sorted([*self.largest, *pieces], key=lambda p: (-p.length, source_order(p)))
            self.largest = found[:_LARGEST]

    def _add_gap(self, piece: Rejected) -> None:
        self.gap = piece if self.gap is None else min(self.gap, piece, key=source_order)


def source_order(piece: Rejected) -> tuple[int, int, int, int, str]:
    """Returns a key that sorts pieces by their place in the source."""
    product = -1 if piece.product_id is None else piece.product_id
    picture = -1 if piece.picture is None else piece.picture
    return piece.file, piece.offset, product, picture, piece.reason
