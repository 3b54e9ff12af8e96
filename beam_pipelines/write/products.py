"""Writes `products.parquet`, which traces each written product to its source.

For photos, and for documents whose ids are not all integers: an integer is found in a dump or a
collection as it is. One row a product, in order of `product_id`; docs/formats.md lists the columns.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from beam_pipelines.table import Table
from catalog import product_key, storage
from catalog.categories import Categories
from catalog.listings import runs
from catalog.shards import SPLITS
from catalog.sources.source import Rejected, Source

_ROW_GROUP = 1 << 17  # rows


def trace(rows: Table, source: Source, categories: Categories | None) -> bytes:
    """Returns the products of rows as an Arrow stream. A product's rows must be consecutive."""
    first = rows.take(runs.starts(rows['product_id']))
    ids: object = pa.nulls(len(first), pa.int64())
    if categories is not None:
        ids = pa.array(np.asarray(categories.shown_ids)[first['label']].tolist())
    files = [source.file_name(file) for file in first['file'].tolist()]
    table = pa.table(
        {
            'product_id': pa.array(first['product_id']),
            'key': pa.array(
                [product_key.shown(key) if key else None for key in first['key'].tolist()],
                pa.string(),
            ),
            'category_id': ids,
            'split': pa.array([SPLITS[split] for split in first['split'].tolist()], pa.string()),
            'file': pa.array([product_key.printable(file) for file in files], pa.string()),
            'offset': pa.array(
                [
                    source.shown_offset(file, place)
                    for file, place in first[['file', 'document']].tolist()
                ],
                pa.int64(),
            ),
            'place': pa.array([_place(row, source) for row in first], pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def write(parts: Iterable[bytes], folder: str) -> int:
    """Writes the products of all parts, as of `trace`. Returns the number of keys."""
    tables = [pa.ipc.open_stream(part).read_all() for part in parts]
    table = pa.concat_tables(tables).sort_by('product_id').combine_chunks()
    with storage.write_atomic(storage.join(folder, product_key.PRODUCTS)) as file:
        parquet.write_table(table, file, row_group_size=_ROW_GROUP)
    return int(table.num_rows - table['key'].null_count)


def _place(row: np.void, source: Source) -> str:
    place = Rejected('', int(row['file']), int(row['document']), 0, None, None, '')
    return product_key.printable(source.describe_place(place))
