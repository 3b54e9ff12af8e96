"""Brings all rows of a product, a content or a class together, in Beam.

Tables are cut into buckets of keys first, so that many keys do not make many small elements. They
travel packed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from beam_pipelines import packing
from beam_pipelines.plan import assign
from beam_pipelines.table import Table

# Buckets are parts of the work: more than the workers of a large job, few enough that a part of a
# small one holds many rows. Those of a very large job fit a worker's memory: some 10 MB each.
_LEAST_BUCKETS = 64
_BUCKET_BYTES = 1 << 30  # of the source

Int64s = npt.NDArray[np.int64]


def buckets_for(source_bytes: int) -> int:
    """How many buckets a source's rows are cut into; changes no result."""
    return max(_LEAST_BUCKETS, source_bytes // _BUCKET_BYTES)


class Grouped(beam.PTransform):  # type: ignore[misc]
    """Tables in; (bucket, [packed rows]) out.

    Args:
      keys: gives each row's key; rows of a key come together.
      kept: the columns that the next step needs.
      buckets: of keys.
      args: for `keys`.
    """

    def __init__(
        self, keys: Callable[..., Int64s], kept: np.dtype[np.void], buckets: int, *args: Any
    ) -> None:
        super().__init__()
        self._cut_args = (keys, kept, buckets, args)

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Applies the step."""
        return tables | 'Cut' >> beam.FlatMap(_cut, *self._cut_args) | beam.GroupByKey()


def joined(grouped: tuple[int, Iterable[bytes]], kept: Any) -> Table:
    """What `Grouped` gives for a bucket, as one table with all columns."""
    return packing.unpack(grouped[1], kept)


def by_product(rows: Table) -> Int64s:
    """Each row's product."""
    return rows['product_id']


def by_hash(rows: Table) -> Int64s:
    """Each row's content, or a part of its hash."""
    return (rows['hash_low'] >> np.uint64(1)).astype(np.int64)


def by_class(rows: Table, seed: int) -> Int64s:
    """Each row's class."""
    return assign.class_keys(rows, seed=seed)


def _cut(
    rows: Table,
    keys: Callable[..., Int64s],
    kept: Any,  # a dtype: Beam takes its type for another
    buckets: int,
    args: tuple[Any, ...],
) -> Iterator[tuple[int, bytes]]:
    return packing.pack_by(rows, keys(rows, *args) % buckets, kept)
