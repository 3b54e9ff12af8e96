"""Where every document and picture of the input went. The sums must meet exactly."""

from collections import Counter
from collections.abc import Mapping

from beam_pipelines.scan.scan import Counts
from catalog.errors import UserError

READ = 'read'
REJECTED = 'rejected_'


def check_sums(counts: Counts) -> None:
    """Checks that everything that was read went somewhere.

    Raises:
      RuntimeError: if a sum does not meet: a fault of this program, never of the input.
    """
    for kind, places in (('documents', counts.documents), ('pictures', counts.pictures)):
        placed = places.total() - places[READ]
        if placed != places[READ]:
            raise RuntimeError(f'ledger: {places[READ]} {kind} were read, {placed} are placed')


def check_rejected(counts: Counts, *, max_fraction: float, first: str) -> None:
    """Checks that no more was rejected than is allowed.

    Args:
      counts: of everything that was read.
      max_fraction: of the documents, and of the pictures.
      first: the first rejected piece, for the message.

    Raises:
      UserError: naming the share, the reasons and the first piece.
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
    """The counts of what was rejected, by reason."""
    return {
        name.removeprefix(REJECTED): count
        for name, count in places.items()
        if name.startswith(REJECTED) and count
    }


def as_mapping(counts: Counts) -> dict[str, dict[str, int]]:
    """The ledger as the manifest holds it: only places where something went, `read` always."""

    def kept(places: Counter[str]) -> dict[str, int]:
        return {name: count for name, count in places.items() if count or name == READ}

    return {
        'documents': kept(counts.documents),
        'pictures': kept(counts.pictures),
        'notes': dict(counts.notes),
    }
