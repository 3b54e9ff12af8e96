"""Groups all rows of a product, a content or a class in Beam.

Tables are split into buckets of keys first, so that many keys do not make many small elements. They
move packed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from beam_pipelines import packing
from beam_pipelines.table import Table

# More buckets than the workers of a large job, and few enough that a bucket of a small job has many
# rows. The buckets of a very large job fit a worker's memory, with about 10 MB each.
_MIN_BUCKETS = 64
_BUCKET_BYTES = 1 << 30  # of the source

Int64s = npt.NDArray[np.int64]


def bucket_count(source_bytes: int) -> int:
    """Returns the number of buckets of a source's rows. Does not change the result."""
    return max(_MIN_BUCKETS, source_bytes // _BUCKET_BYTES)


class GroupByBucket(beam.PTransform):  # type: ignore[misc]
    """Groups tables into (bucket, [packed rows]).

    Args:
      keys: Returns each row's key. Rows with the same key get into the same bucket.
      kept: The columns that the next step needs.
      buckets: Number of buckets.
      options: Keyword arguments of `keys`.
    """

    def __init__(
        self, keys: Callable[..., Int64s], kept: np.dtype[np.void], buckets: int, **options: Any
    ) -> None:
        super().__init__()
        self._split_args = (keys, kept, buckets, options)

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Applies the transform."""
        return (
            tables
            | 'SplitIntoBuckets' >> beam.FlatMap(_split_into_buckets, *self._split_args)
            | beam.GroupByKey()
        )


def unpack_bucket(grouped: tuple[int, Iterable[bytes]], kept: Any) -> Table:
    """Returns a bucket of `GroupByBucket` as one table with all columns."""
    return packing.unpack(grouped[1], kept)


def product_keys(rows: Table) -> Int64s:
    """Returns each row's product id."""
    return rows['product_id']


def content_keys(rows: Table) -> Int64s:
    """Returns a part of each row's content hash."""
    return (rows['hash_low'] >> np.uint64(1)).astype(np.int64)


def _split_into_buckets(
    rows: Table,
    keys: Callable[..., Int64s],
    kept: Any,  # a dtype; Beam mistakes its type for another
    buckets: int,
    options: dict[str, Any],
) -> Iterator[tuple[int, bytes]]:
    return packing.pack_by_key(rows, keys(rows, **options) % buckets, kept)
