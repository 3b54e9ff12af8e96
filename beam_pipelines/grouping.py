"""Brings all rows of a product, a content or a class together, in Beam.

Tables are cut into a fixed number of buckets of keys first, so that neither many keys nor many
ranges make many small elements.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from beam_pipelines import assign
from beam_pipelines.table import Table, groups, join

# More than the workers of a large job, few enough that a part holds many rows of a small one.
_BUCKETS = 64

Int64s = npt.NDArray[np.int64]


class Grouped(beam.PTransform):  # type: ignore[misc]
    """Tables in, (bucket of keys, tables) out."""

    def __init__(self, keys: Callable[..., Int64s], *args: Any) -> None:
        super().__init__()
        self._keys = keys
        self._args = args

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Applies the step."""
        return (
            tables
            | 'Cut' >> beam.FlatMap(_cut, self._keys, *self._args)  # (bucket, Table)
            | 'Group' >> beam.GroupByKey()
        )


def joined(_: int, tables: Iterable[Table]) -> Table:
    """What `Grouped` gives for a bucket, as one table with all columns."""
    return join(tables)


def by_product(rows: Table) -> Int64s:
    """The bucket of each row's product."""
    return rows['product_id'] % _BUCKETS


def by_hash(rows: Table) -> Int64s:
    """The bucket of each row's content."""
    return (rows['hash_low'] % _BUCKETS).astype(np.int64)


def by_class(rows: Table, seed: int) -> Int64s:
    """The bucket of each row's class."""
    return assign.class_keys(rows, seed=seed) % _BUCKETS


def _cut(rows: Table, keys: Callable[..., Int64s], *args: Any) -> Iterator[tuple[int, Table]]:
    yield from groups(rows, keys(rows, *args))
