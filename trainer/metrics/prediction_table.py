"""`predictions.parquet`: one row a product, from which the metrics can be recomputed."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import storage
from catalog.errors import UserError

_ROW_GROUP = 65_536  # rows

SCHEMA = pa.schema(
    [
        ('product_id', pa.int64()),
        ('label', pa.int64()),
        ('predicted', pa.list_(pa.int64())),  # k labels, the likeliest first
        ('confidence', pa.list_(pa.float32())),  # their probabilities, calibrated
        ('probability', pa.list_(pa.float32())),  # their probabilities, uncalibrated
        ('label_log_probability', pa.float64()),  # log of the label's, uncalibrated
        ('pictures', pa.int64()),  # number of pictures behind the probabilities
        ('leaked', pa.bool_()),  # whether one of them is also in train
    ]
)


@dataclass(frozen=True)
class Predictions:
    """The likeliest k classes of N examples.

    Attributes:
      product_id: int64 [N].
      label: int64 [N].
      leaked: bool [N].
      pictures: int64 [N].
      predicted: Labels, int64 [N, k], the likeliest first; of equals the smaller label first.
      confidence: Their probabilities, calibrated, float32 [N, k].
      probability: Their probabilities, uncalibrated, float32 [N, k].
      label_log_probability: Log of the label's probability, uncalibrated, float64 [N].
    """

    product_id: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    leaked: npt.NDArray[np.bool_]
    pictures: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    label_log_probability: npt.NDArray[np.float64]

    @property
    def hit(self) -> npt.NDArray[np.bool_]:
        """Whether the likeliest class is the label, bool [N]."""
        hit: npt.NDArray[np.bool_] = self.predicted[:, 0] == self.label
        return hit


# Only in a table of products whose ids are not all integers.
KEY = pa.field('product_key', pa.string())


class TableWriter:
    """An open table; buffers rows until they fill a row group."""

    def __init__(self, file: pq.ParquetWriter, keys: Mapping[int, str]) -> None:
        self._file = file
        self._keys = keys
        self._buffered: list[pa.Table] = []

    def write(self, rows: Predictions) -> None:
        """Appends rows."""
        table = _table(rows)
        if self._keys:
            keys = [self._keys.get(product_id) for product_id in rows.product_id.tolist()]
            table = table.append_column(KEY, pa.array(keys, pa.string()))
        self._buffered.append(table)
        if sum(map(len, self._buffered)) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Writes the buffered rows."""
        if self._buffered:
            self._file.write_table(pa.concat_tables(self._buffered).combine_chunks())
            self._buffered = []


@contextlib.contextmanager
def open_writer(path: str, keys: Mapping[int, str] | None = None) -> Iterator[TableWriter]:
    """Opens a table for writing.

    Args:
      path: Path of the file.
      keys: The key of each product that has one, by its number.
    """
    schema = SCHEMA.append(KEY) if keys else SCHEMA
    with pq.ParquetWriter(path, schema, compression='zstd') as file:
        table = TableWriter(file, keys or {})
        yield table
        table.flush()


def _table(rows: Predictions) -> pa.Table:
    columns = [
        pa.array(rows.product_id),
        pa.array(rows.label),
        _lists(rows.predicted),
        _lists(rows.confidence),
        _lists(rows.probability),
        pa.array(rows.label_log_probability),
        pa.array(rows.pictures),
        pa.array(rows.leaked),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _lists(values: npt.NDArray[np.number]) -> pa.ListArray:
    count, k = values.shape
    offsets = np.arange(0, (count + 1) * k, k, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(values).reshape(-1))


def read(path: str) -> Predictions:
    """Reads a table into memory.

    Raises:
      UserError: If the file is not such a table.
    """
    try:
        file = pa.BufferReader(storage.read_bytes(path)) if storage.is_remote(path) else path
        table = pq.read_table(file, schema=SCHEMA).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f'{path}: must be a table of predictions, got: {error}') from error
    columns = {name: table.column(name) for name in SCHEMA.names}
    return Predictions(
        product_id=columns['product_id'].to_numpy(),
        label=columns['label'].to_numpy(),
        predicted=_matrix(columns['predicted'], rows=len(table)),
        confidence=_matrix(columns['confidence'], rows=len(table)),
        probability=_matrix(columns['probability'], rows=len(table)),
        label_log_probability=columns['label_log_probability'].to_numpy(),
        pictures=columns['pictures'].to_numpy(),
        leaked=columns['leaked'].to_numpy(),
    )


def _matrix(column: pa.ChunkedArray, *, rows: int) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = column.combine_chunks().flatten().to_numpy()
    return values.reshape(rows, -1) if rows else values.reshape(0, 0)
