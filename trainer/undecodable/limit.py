"""How many undecodable pictures a run passes over before it stops."""

import math
from collections.abc import Sequence

from catalog.errors import UserError
from trainer.undecodable.place import Place

_NAMED = 3


def reads_in_an_epoch(
    examples: Sequence[float],
    stored: Sequence[int],
    products: Sequence[int],
    records: Sequence[int],
) -> int:
    """Returns how often one example is read in an epoch, at most.

    Args:
      examples: Expected examples of each class in an epoch [C].
      stored: Examples in the shards, copies included [C].
      products: Distinct products in the shards [C].
      records: Records in the shards, copies included [C].
    """
    copies = (
        count * copied / max(present * distinct, 1)
        for count, present, distinct, copied in zip(
            examples, stored, products, records, strict=True
        )
    )
    return max(1, math.ceil(max(copies, default=1) - 1e-6))


def check_limit(
    *,
    undecodable: int,
    read: int,
    always_allowed: float,
    fraction: float,
    places: Sequence[Place],
    folder: str,
    step: int,
) -> None:
    """Checks that a run has not passed over too many pictures.

    Args:
      undecodable: Undecodable pictures that were read.
      read: Pictures that were read.
      always_allowed: Undecodable pictures that may be read whatever their share.
      fraction: The largest share that may be.
      places: Where the undecodable pictures are, as far as this process knows.
      folder: The data set.
      step: The number of completed steps.

    Raises:
      UserError: Naming the first of the places.
    """
    if undecodable <= max(always_allowed, fraction * read):
        return
    named = '; '.join(str(place) for place in places[:_NAMED])
    if len(places) > _NAMED:
        named += f'; and {len(places) - _NAMED:,} more'
    raise UserError(
        f'{folder}: at most input.max_undecodable={fraction:g} of the pictures read may be '
        f'undecodable, got {undecodable:,} of {read:,} by step {step} '
        f'({named or "other workers name them"}); raise --config.input.max_undecodable to resume, '
        'or shard the data again with --verify=decode for a new run'
    )
