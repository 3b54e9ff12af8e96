"""Counts where every document and picture of the input ends up. The sums must match exactly."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from catalog.errors import UserError

READ = 'read'
REJECTED = 'rejected_'


@dataclass
class Counts:
    """Numbers of documents and pictures by place. The place `read` counts all of them.

    Attributes:
      documents: Documents by place.
      pictures: Pictures by place.
      notes: Numbers of pictures with a property that is not a place, such as duplicates.
    """

    documents: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, other: 'Counts') -> None:
        """Adds other counts to these."""
        self.documents.update(other.documents)
        self.pictures.update(other.pictures)
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


def check_rejected(counts: Counts, *, max_fraction: float, first: str) -> None:
    """Checks that no more is rejected than allowed.

    Args:
      counts: Counts of everything that was read.
      max_fraction: Largest allowed fraction of the documents, and of the pictures.
      first: Description of the first rejected piece, for the message.

    Raises:
      UserError: If more is rejected. Names the fraction, the reasons and the first piece.
    """
    for kind, places in (('documents', counts.documents), ('pictures', counts.pictures)):
        reasons = rejected(places)
        count, total = sum(reasons.values()), places[READ]
        if count > max_fraction * total:
            named = ', '.join(f'{reason} {number}' for reason, number in sorted(reasons.items()))
            raise UserError(
                f'--max_rejected_fraction: at most {max_fraction:g} of the {kind} may be '
                f'rejected, got {count} of {total} ({named}); the first: {first}'
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
        'notes': dict(counts.notes),
    }
