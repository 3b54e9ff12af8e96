"""`predictions.parquet`: one row a product, so that anyone can compute the figures again.

Knows no TensorFlow.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.errors import UserError

FILE_NAME = 'predictions.parquet'

_ROW_GROUP = 65_536  # rows

SCHEMA = pa.schema(
    [
        ('product_id', pa.int64()),
        ('label', pa.int64()),
        ('predicted', pa.list_(pa.int64())),  # k labels, the likeliest first
        ('confidence', pa.list_(pa.float32())),  # their probabilities
        ('pictures', pa.int64()),  # how many the probabilities are the mean of
        ('leaked', pa.bool_()),  # whether one of them occurs in train too
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
      predicted: int64 [N, k], labels, the likeliest first; of equals the smaller label first.
      confidence: float32 [N, k], their probabilities.
    """

    product_id: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    leaked: npt.NDArray[np.bool_]
    pictures: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]


class Writer:
    """An open table; rows wait until there are enough of them for a row group."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self._waiting: list[pa.Table] = []

    def write(self, rows: Predictions) -> None:
        """Appends rows."""
        self._waiting.append(_table(rows))
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Writes the rows that wait."""
        if self._waiting:
            self._file.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting = []


@contextlib.contextmanager
def writer(path: str) -> Iterator[Writer]:
    """Opens a table for writing."""
    with pq.ParquetWriter(path, SCHEMA, compression='zstd') as file:
        table = Writer(file)
        yield table
        table.flush()


def _table(rows: Predictions) -> pa.Table:
    columns = [
        pa.array(rows.product_id),
        pa.array(rows.label),
        _lists(rows.predicted),
        _lists(rows.confidence),
        pa.array(rows.pictures),
        pa.array(rows.leaked),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _lists(values: npt.NDArray[np.number]) -> pa.ListArray:
    count, k = values.shape
    offsets = np.arange(0, (count + 1) * k, k, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(values).reshape(-1))


def read(path: str) -> Predictions:
    """Reads a table back whole.

    Raises:
      UserError: if the file is not such a table.
    """
    try:
        table = pq.read_table(path, schema=SCHEMA).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f'{path}: must be a table of predictions, got: {error}') from error
    columns = {name: table.column(name) for name in SCHEMA.names}
    return Predictions(
        product_id=columns['product_id'].to_numpy(),
        label=columns['label'].to_numpy(),
        predicted=_matrix(columns['predicted'], rows=len(table)),
        confidence=_matrix(columns['confidence'], rows=len(table)),
        pictures=columns['pictures'].to_numpy(),
        leaked=columns['leaked'].to_numpy(),
    )


def _matrix(column: pa.ChunkedArray, *, rows: int) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = column.combine_chunks().flatten().to_numpy()
    return values.reshape(rows, -1) if rows else values.reshape(0, 0)
