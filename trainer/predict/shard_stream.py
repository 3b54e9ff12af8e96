"""Reads the products of TFRecord shards in order. Uses no TensorFlow.

With one picture a record, the neighbouring records of a product are joined. An offset counts the
products of a shard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from catalog import product_key, storage
from catalog.record import Record
from catalog.shard_reader import records
from trainer.predict import dump_stream
from trainer.predict.dump_stream import DumpPosition, DumpProduct

SUFFIXES = ('.tfrecord', '.tfrecord.gz')


@dataclass(frozen=True)
class ShardStream:
    """The products of shards.

    Attributes:
      paths: Paths of the shards.
      labelled: Whether their categories are read.
    """

    paths: tuple[str, ...]
    labelled: bool = True

    def fingerprint(self) -> str:
        """Returns a digest of the shards' names, sizes, and first and last bytes."""
        return dump_stream.fingerprint(self.paths)

    def total_bytes(self) -> int:
        """Returns the size of all shards, compressed."""
        return dump_stream.total_bytes(self.paths)

    def check(self) -> None:
        """Reads the first product of each shard.

        Raises:
          UserError: If a shard does not begin with a product.
        """
        for path in self.paths:
            next(_products(records.read(path)), None)

    def file_name(self, file: int) -> str:
        """Returns the path of a shard."""
        return self.paths[file]

    def read(self, start: DumpPosition) -> Iterator[DumpProduct]:
        """Yields the products from a position on.

        Raises:
          UserError: If a shard is damaged.
        """
        before = dump_stream.total_bytes(self.paths[: start.file])
        for file in range(start.file, len(self.paths)):
            offset = start.offset if file == start.file else 0
            read_bytes = before
            for number, views in enumerate(_products(records.read(self.paths[file])), 1):
                pictures = tuple(picture for view in views for picture in view.pictures)
                read_bytes += sum(map(len, pictures))
                if number > offset:
                    first = views[0]
                    category = first.category if self.labelled else None
                    yield DumpProduct(
                        first.product_id,
                        pictures,
                        DumpPosition(file, number),
                        read_bytes,
                        key=product_key.decode(first.key),
                        category=category.category_id if category else None,
                    )
            before += storage.size(self.paths[file])


def _products(found_records: Iterator[Record]) -> Iterator[Sequence[Record]]:
    """Yields the records of each product. A picture of its own continues the product before it."""
    views: list[Record] = []
    for found in found_records:
        continues = (
            views
            and views[0].product_id == found.product_id
            and len(found.indices) == 1
            and found.indices[0] > views[-1].indices[-1]
        )
        if views and not continues:
            yield views
            views = []
        views.append(found)
    if views:
        yield views
