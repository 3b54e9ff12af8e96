"""`products.parquet` of an index: one row a product."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

UNLABELLED = -1

_SCHEMA = pa.schema(
    [
        pa.field('product_id', pa.int64(), nullable=False),
        pa.field('key', pa.string()),
        pa.field('label', pa.int64(), nullable=False),
        pa.field('pictures_digest', pa.uint64(), nullable=False),
        pa.field('node', pa.int64(), nullable=False),
        pa.field('embedding_digest', pa.uint64(), nullable=False),
        pa.field('thumbnail_offset', pa.int64(), nullable=False),
        pa.field('thumbnail_bytes', pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class ProductTable:
    """The N products of an index.

    Attributes:
      product_ids: `product/id` of each product, int64 [N], each once.
      keys: The keys of the products whose ids are not integers, by their number; as shown text.
      labels: Label of the category, int64 [N]; UNLABELLED without one.
      digests: Digest of the pictures, uint64 [N]. It changes with any of them.
      nodes: Node of the graph, int64 [N]; products with equal embeddings share one.
      embedding_digests: Digest of the embedding, uint64 [N].
      thumbnail_offsets: Place of the thumbnail in its file, int64 [N].
      thumbnail_sizes: Size of the thumbnail in bytes, int64 [N]; 0 without one.
    """

    product_ids: Int64s
    keys: dict[int, str]
    labels: Int64s
    digests: UInt64s
    nodes: Int64s
    embedding_digests: UInt64s
    thumbnail_offsets: Int64s
    thumbnail_sizes: Int64s

    def __len__(self) -> int:
        return len(self.product_ids)


def write(products: ProductTable, path: str) -> None:
    """Writes the table to a local file. Equal products give equal bytes."""
    keys = pa.array([products.keys.get(number) for number in products.product_ids.tolist()])
    columns = [
        products.product_ids,
        keys.cast(pa.string()),
        products.labels,
        products.digests,
        products.nodes,
        products.embedding_digests,
        products.thumbnail_offsets,
        products.thumbnail_sizes,
    ]
    parquet.write_table(pa.table([pa.array(column) for column in columns], schema=_SCHEMA), path)


def read(path: str) -> ProductTable:
    """Reads the table from a local file.

    Raises:
      ValueError: If it is not such a table.
    """
    try:
        table = parquet.read_table(path, schema=_SCHEMA)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    numbers, texts = table.column('product_id'), table.column('key')
    has_key = texts.is_valid()
    keys = zip(numbers.filter(has_key).to_pylist(), texts.filter(has_key).to_pylist(), strict=True)
    return ProductTable(
        product_ids=numbers.to_numpy(),
        keys=dict(keys),
        labels=table.column('label').to_numpy(),
        digests=table.column('pictures_digest').to_numpy(),
        nodes=table.column('node').to_numpy(),
        embedding_digests=table.column('embedding_digest').to_numpy(),
        thumbnail_offsets=table.column('thumbnail_offset').to_numpy(),
        thumbnail_sizes=table.column('thumbnail_bytes').to_numpy(),
    )
