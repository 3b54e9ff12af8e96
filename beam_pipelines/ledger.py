"""Counts where every document and picture of the input ends up. The sums must match exactly."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from catalog.errors import UserError

READ = 'read'
REJECTED = 'rejected_'
GAPS = 'gaps'  # note: places where an unknown number of bytes is missing from the source


@dataclass
class Counts:
    """Numbers of documents and pictures by place. The place `read` counts all of them.

    Attributes:
      documents: Documents by place.
      pictures: Pictures by place.
      bytes: `read`, and the bytes of rejected documents and pictures by reason. A product has the
        bytes of its pictures, the same in any source; a piece that is not a product has its size.
        The pictures of a product without a usable one have their own reasons.
      notes: Numbers that are not of a place, such as duplicate pictures.
    """

    documents: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, other: 'Counts') -> None:
        """Adds other counts to these."""
        self.documents.update(other.documents)
        self.pictures.update(other.pictures)
        self.bytes.update(other.bytes)
        self.notes.update(other.notes)


def check_sums(counts: Counts) -> None:
    """Checks that everything that was read has a place.

    Raises:
      RuntimeError: If a sum differs: a bug of this program, never of the input.
    """
    for kind, places in (('documents', counts.documents), ('pictures', counts.pictures)):
        placed = places.total() - places[READ]
        if placed != places[READ]:
            raise RuntimeError(f'ledger: {places[READ]} {kind} were read, but {placed} have places')


def check_rejected(counts: Counts, *, max_fraction: float, first: str, largest: str) -> None:
    """Checks that no more is rejected than allowed.

    Args:
      counts: Counts of everything that was read.
      max_fraction: Largest allowed fraction of the documents, of the pictures, and of the bytes.
      first: Description of the first rejected piece, for the message.
      largest: Description of the largest rejected pieces, for the message about bytes.

    Raises:
      UserError: If more is rejected. Names the fraction, the reasons and a piece.
    """
    for kind, places, example in (
        ('documents', counts.documents, f'the first: {first}'),
        ('pictures', counts.pictures, f'the first: {first}'),
        ('bytes', counts.bytes, f'the largest: {largest}'),
    ):
        reasons = rejected(places)
        count, total = sum(reasons.values()), places[READ]
        if count > max_fraction * total:
            named = ', '.join(f'{reason} {number}' for reason, number in sorted(reasons.items()))
            raise UserError(
                f'--max_rejected_fraction: at most {max_fraction:g} of the {kind} may be '
                f'rejected, got {count} of {total} ({named}); {example}'
            )


def check_gaps(counts: Counts, *, max_fraction: float, default: float, first: str) -> None:
    """Checks that no bytes are missing from the source, unless losses are allowed.

    How much is missing at a gap is unknown, so only a limit above the default accepts one.

    Args:
      counts: Counts of everything that was read.
      max_fraction: Largest allowed fraction of losses.
      default: Default of `max_fraction`.
      first: Description of the first gap, for the message.

    Raises:
      UserError: If there is a gap.
    """
    gaps = counts.notes[GAPS]
    if gaps and max_fraction <= default:
        raise UserError(
            f'--input: must be complete, but bytes are missing at {gaps} '
            f'place{"" if gaps == 1 else "s"}, the first: {first}; copy the input again, or accept '
            f'the unknown loss with --max_rejected_fraction above {default:g}'
        )


def rejected(places: Mapping[str, int]) -> dict[str, int]:
    """Returns the rejected counts by reason."""
    return {
        name.removeprefix(REJECTED): count
        for name, count in places.items()
        if name.startswith(REJECTED) and count
    }


def as_mapping(counts: Counts) -> dict[str, dict[str, int]]:
    """Returns the ledger of the manifest: `read`, and the places with a count above 0."""

    def used(places: Counter[str]) -> dict[str, int]:
        return {name: count for name, count in places.items() if count or name == READ}

    return {
        'documents': used(counts.documents),
        'pictures': used(counts.pictures),
        'bytes': used(counts.bytes),
        'notes': dict(counts.notes),
    }
