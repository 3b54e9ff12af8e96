"""The distinct products of shards: a first pass without pictures, a second one for some of them.

Train shards have copies of products, and with one picture a record the views of a product are
apart. Each product, and each of its pictures, counts once.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from catalog import product_key
from catalog.shard_reader import records
from serving.similar.product_table import UNLABELLED

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Pictures:
    """M distinct pictures, in order of product and index.

    Attributes:
      product: Row of the product, int64 [M].
      index: Position in the product, int64 [M].
      shard: Number of the shard of the picture's first copy, int64 [M].
      record: Number of the record in the shard, int64 [M].
      view: Position in the record, int64 [M].
    """

    product: Int64s
    index: Int64s
    shard: Int64s
    record: Int64s
    view: Int64s

    def __len__(self) -> int:
        return len(self.product)


@dataclass(frozen=True)
class ShardProducts:
    """The P distinct products of shards, in order of their number.

    Attributes:
      product_ids: int64 [P], ascending.
      keys: The keys of the products whose ids are not integers, by number; as shown text.
      labels: int64 [P]; UNLABELLED in unlabelled data.
      digests: Digest of the pictures of each product, uint64 [P].
      pictures: Their pictures.
    """

    product_ids: Int64s
    keys: dict[int, str]
    labels: Int64s
    digests: UInt64s
    pictures: Pictures

    def __len__(self) -> int:
        return len(self.product_ids)


def scan(
    paths: Sequence[str], *, on_shard: Callable[[int], None] = lambda _: None
) -> ShardProducts:
    """Finds the products of shards.

    Args:
      paths: The shards.
      on_shard: Receives the number of shards that have been read.

    Raises:
      UserError: If a shard is damaged.
    """
    numbers, indices, labels = array('q'), array('q'), array('q')
    shards, rows, views, digests = array('q'), array('q'), array('q'), array('Q')
    keys: dict[int, str] = {}
    for shard, path in enumerate(paths):
        for row, found in enumerate(records.read(path)):
            if found.key:
                keys[found.product_id] = product_key.shown(found.key)
            for view, (index, picture) in enumerate(
                zip(found.indices, found.pictures, strict=True)
            ):
                numbers.append(found.product_id)
                indices.append(index)
                labels.append(found.category.label if found.category else UNLABELLED)
                shards.append(shard)
                rows.append(row)
                views.append(view)
                digests.append(xxhash.xxh3_64_intdigest(picture, seed=index))
        on_shard(shard + 1)
    order = _distinct(np.array(numbers, np.int64), np.array(indices, np.int64))
    product_ids, first, product = np.unique(
        np.array(numbers, np.int64)[order], return_index=True, return_inverse=True
    )
    return ShardProducts(
        product_ids=product_ids,
        keys=keys,
        labels=np.array(labels, np.int64)[order][first],
        # A sum, because each digest depends on the index, and wraps as unsigned integers do.
        digests=_sums(np.array(digests, np.uint64)[order], first),
        pictures=Pictures(
            product=product.astype(np.int64),
            index=np.array(indices, np.int64)[order],
            shard=np.array(shards, np.int64)[order],
            record=np.array(rows, np.int64)[order],
            view=np.array(views, np.int64)[order],
        ),
    )


def _distinct(numbers: Int64s, indices: Int64s) -> Int64s:
    """Returns the row of each picture's first copy, sorted by product and index."""
    order = np.lexsort((indices, numbers))  # stable: equal ones keep the order of the shards
    number, index = numbers[order], indices[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (number[1:] != number[:-1]) | (index[1:] != index[:-1])
    kept: Int64s = order[is_first]
    return kept


def _sums(values: UInt64s, starts: Int64s) -> UInt64s:
    return np.add.reduceat(values, starts) if len(values) else values


def read_pictures(
    paths: Sequence[str], pictures: Pictures, *, products: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, bytes]]:
    """Yields the pictures of some products, as row of `pictures` and bytes, in order of the shards.

    Args:
      paths: The shards that were scanned.
      pictures: The pictures of the scan.
      products: Which products are wanted, bool [P].

    Raises:
      UserError: If a shard is damaged.
    """
    wanted = np.flatnonzero(products[pictures.product])
    order = np.lexsort((pictures.view[wanted], pictures.record[wanted], pictures.shard[wanted]))
    rows = wanted[order]
    for shard in np.unique(pictures.shard[rows]).tolist():
        mine = rows[pictures.shard[rows] == shard]
        views: dict[int, list[tuple[int, int]]] = {}
        for row, record, view in zip(
            mine.tolist(), pictures.record[mine].tolist(), pictures.view[mine].tolist(), strict=True
        ):
            views.setdefault(record, []).append((row, view))
        for number, found in enumerate(records.read(paths[shard])):
            for row, view in views.get(number, ()):
                yield row, found.pictures[view]
