"""Formats of files of predictions: CSV, JSON lines that BigQuery loads, Parquet.

A file is written from the encoded rows of its parts, in order. `encode_rows` runs where rows are
made, so that they travel as bytes.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, get_args

from catalog.predictions import csv_rows, values
from catalog.predictions.columns import Columns, Row
from catalog.predictions.values import Field

FormatName = Literal['csv', 'parquet', 'json']

FORMATS: tuple[FormatName, ...] = get_args(FormatName)
SUFFIXES: dict[FormatName, str] = {'csv': '.csv', 'parquet': '.parquet', 'json': '.jsonl'}


@dataclass(frozen=True)
class Format:
    """How predictions are written.

    Attributes:
      name: One of FORMATS.
      columns: The columns.
      text_ids: Whether product ids are texts.
      codes: Whether the category ids of the tree are texts.
    """

    name: FormatName
    columns: Columns
    text_ids: bool
    codes: bool

    @property
    def suffix(self) -> str:
        """The end of a file's name."""
        return SUFFIXES[self.name]

    def fields(self) -> list[Field]:
        """Returns the columns with their types."""
        return values.typed_fields(self.columns, text_ids=self.text_ids, codes=self.codes)

    def encode_rows(self, rows: Sequence[Row]) -> bytes:
        """Returns rows as `write_file` takes them."""
        if self.name == 'csv':
            return csv_rows.encode_rows(rows, self.columns)
        fields = self.fields()
        found = [values.row_values(row, self.columns, fields) for row in rows]
        if self.name == 'json':
            return b''.join(json.dumps(row, ensure_ascii=False).encode() + b'\n' for row in found)
        return _encode_arrow(found, fields)

    def write_file(self, file: BinaryIO, parts: Iterable[bytes]) -> None:
        """Writes a file of the encoded rows of its parts."""
        if self.name == 'parquet':
            _write_parquet(file, parts, self.fields())
            return
        if self.name == 'csv':
            file.write(csv_rows.format_header(self.columns).encode())
        for part in parts:
            file.write(part)

    def bigquery_schema(self) -> bytes:
        """Returns the schema as `bq load` and BigQuery's clients read it, JSON."""
        fields = [
            {'name': name, 'type': kind, 'mode': 'REQUIRED' if required else 'NULLABLE'}
            for name, kind, required in self.fields()
        ]
        return json.dumps(fields, indent=1).encode() + b'\n'


def _arrow_schema(fields: Sequence[Field]) -> Any:
    import pyarrow as pa  # takes a quarter of a second

    kinds = {'INTEGER': pa.int64(), 'FLOAT': pa.float64(), 'STRING': pa.string()}
    return pa.schema(
        [pa.field(name, kinds[kind], nullable=not required) for name, kind, required in fields]
    )


def _encode_arrow(rows: list[dict[str, Any]], fields: Sequence[Field]) -> bytes:
    import pyarrow as pa

    batch = pa.RecordBatch.from_pylist(rows, schema=_arrow_schema(fields))
    return batch.serialize().to_pybytes()


def _write_parquet(file: BinaryIO, parts: Iterable[bytes], fields: Sequence[Field]) -> None:
    """Writes all rows of a file in as few row groups as the format's default has."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _arrow_schema(fields)
    batches = [pa.ipc.read_record_batch(pa.py_buffer(part), schema) for part in parts]
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    parquet.write_table(table, file, compression='zstd')
