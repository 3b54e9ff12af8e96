"""The options of a prediction that change its result."""

from dataclasses import asdict, dataclass, field
from typing import Any

from catalog.errors import UserError
from catalog.predictions import predicting
from catalog.predictions.columns import Columns

MAX_REJECTED_FRACTION = 0.01

_SHARD_BYTES = 8 << 30  # of the source: rows take a hundredth or less


@dataclass(frozen=True)
class PredictOptions:
    """What to write, and how.

    Attributes:
      columns: Columns of a row.
      threshold: Minimum summed confidence of a level; None for the model's own.
      chunk_products: Products that the model computes together.
      shards: Number of files; 0: by the size of the source.
      max_rejected_fraction: Largest allowed fraction of documents, and of bytes, that are damaged.
    """

    columns: Columns = field(default_factory=Columns)
    threshold: float | None = None
    chunk_products: int = predicting.CHUNK_PRODUCTS
    shards: int = 0
    max_rejected_fraction: float = MAX_REJECTED_FRACTION

    def __post_init__(self) -> None:
        if self.chunk_products < 1:
            raise UserError(f'--chunk_products must be at least 1, got {self.chunk_products}')
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f'--threshold must be in [0, 1], got {self.threshold:g}')
        if self.shards < 0:
            raise UserError(f'--shards must be at least 0, got {self.shards}')
        if not 0 <= self.max_rejected_fraction <= 1:
            raise UserError(
                f'--max_rejected_fraction must be in [0, 1], got {self.max_rejected_fraction:g}'
            )

    def count_shards(self, source_bytes: int) -> int:
        """Returns the number of files for a source of a size."""
        return self.shards or -(-source_bytes // _SHARD_BYTES) or 1

    def as_mapping(self) -> dict[str, Any]:
        """Returns the options as in `predictions.json`."""
        return asdict(self)
