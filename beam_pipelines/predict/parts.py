"""Splits a source into parts, so that each product is in exactly one of them. Knows no Beam.

The first document of a part of a BSON file is guessed by a signature; `scan.seams` proves the
guesses, from where each part begins and ends.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from beam_pipelines import ledger
from beam_pipelines.ledger import Counts
from beam_pipelines.predict.options import MAX_REJECTED_FRACTION
from beam_pipelines.scan import scan, seams
from beam_pipelines.scan.rejected_pieces import RejectedPieces
from beam_pipelines.scan.seams import Edge
from beam_pipelines.write import rejected
from catalog.inputs import parts, products
from catalog.sources.source import Range, Rejected, Source


@dataclass(frozen=True)
class Part:
    """A part of the source.

    Attributes:
      number: Its number in the order of the source, from 0.
      total: Number of all parts.
      range: Where it is; `first` is set if the source guesses starts and the guess is proven.
    """

    number: int
    total: int
    range: Range


@dataclass(frozen=True)
class Walk:
    """What is known of a part after it was read once.

    Attributes:
      part: The part.
      first: Where its first document begins. None if it has none.
      end: Where its last document ends. None if it has none.
      damage: Counts of documents, and of damaged ones.
      pieces: Some damaged pieces.
    """

    part: Part
    first: int | None
    end: int | None
    damage: Counts = field(default_factory=Counts)
    pieces: RejectedPieces = field(default_factory=lambda: RejectedPieces(1))


@dataclass(frozen=True)
class Proven:
    """The proven starts of parts.

    Attributes:
      guessed: (file, start) of the ranges whose guessed start is right.
      corrected: The other ranges that contain documents, by (file, start), with `first` set.
    """

    guessed: frozenset[tuple[int, int]]
    corrected: Mapping[tuple[int, int], Range]


def split(source: Source) -> Iterator[Part]:
    """Yields the parts of a source in order."""
    ranges = parts.split(source)
    for number, part in enumerate(ranges):
        yield Part(number, len(ranges), part)


def walk(part: Part, source: Source) -> Walk:
    """Reads a part, to find where its documents begin and end, and damage."""
    first = end = None
    damage, pieces = Counts(), RejectedPieces(1)
    for piece in source.read(part.range):
        begin, end = scan.bounds(piece)
        first = begin if first is None else first
        if isinstance(piece, Rejected):
            count_rejected(piece, damage, pieces)
        else:
            damage.documents[ledger.READ] += len(piece)
            damage.bytes[ledger.READ] += int(piece.lengths.sum())
        del piece  # frees its bytes before the next ones are read
    return Walk(part, first, end, damage, pieces)


def count_rejected(piece: Rejected, counts: Counts, pieces: RejectedPieces) -> None:
    """Counts a piece that is not a usable document; one with an id is a product."""
    pieces.add(piece)
    counts.documents[ledger.READ] += 1
    counts.bytes[ledger.READ] += piece.length
    counts.notes[ledger.GAPS] += piece.gap
    if products.unseen_product(piece) is None:
        counts.documents[ledger.REJECTED + piece.reason] += 1
        counts.bytes[ledger.REJECTED + piece.reason] += piece.length


def prove(walks: Iterable[Walk], source: Source, *, max_rejected_fraction: float) -> Proven:
    """Proves the starts of all parts, before any of them is predicted.

    Raises:
      UserError: If too much of the source is damaged.
    """
    walks = list(walks)
    edges = [Edge(each.part.range, each.first, each.end) for each in walks]
    proof = seams.prove(edges, lambda part: scan.read_to_end(source, part))
    right = [each for each in walks if _place(each.part.range) in proof.proven]
    counts, pieces = Counts(), RejectedPieces(1)
    for each in right:
        counts.add(each.damage)
        pieces.join(each.pieces)
    check_damage(counts, pieces, source, max_rejected_fraction=max_rejected_fraction)
    return Proven(proof.proven, proof.again)


def proven_part(each: Walk, proven: Proven) -> Iterator[Part]:
    """Yields the part with its proven start, if a document begins in it."""
    place = _place(each.part.range)
    if place in proven.corrected:
        yield dataclasses.replace(each.part, range=proven.corrected[place])
    elif place in proven.guessed and each.first is not None:
        found = dataclasses.replace(each.part.range, first=each.first)
        yield dataclasses.replace(each.part, range=found)


def check_damage(
    counts: Counts, pieces: RejectedPieces, source: Source, *, max_rejected_fraction: float
) -> None:
    """Checks that no more of the source is damaged than allowed. Pictures have no limit.

    Raises:
      UserError: If more is damaged, or an unknown number of bytes is missing. Names the fraction,
        the reasons and a piece.
    """

    def describe(some: Iterable[Rejected | None]) -> str:
        return '; '.join(rejected.describe(source, piece) for piece in some if piece)

    ledger.check_rejected(
        Counts(documents=counts.documents, bytes=counts.bytes),
        max_fraction=max_rejected_fraction,
        first=describe(pieces.sorted()[:1]),
        largest=describe(pieces.largest),
    )
    ledger.check_gaps(
        counts,
        max_fraction=max_rejected_fraction,
        default=MAX_REJECTED_FRACTION,
        first=describe([pieces.gap]),
    )


def _place(part: Range) -> tuple[int, int]:
    return part.file, part.start
