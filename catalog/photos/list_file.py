"""Reads a list of photos, CSV or Parquet, within a limit of memory.

Sizes are checked before anything is unpacked: a Parquet file of some KB may unpack to many GB, and
a CSV file may consist of one line.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Any

from catalog import storage
from catalog.errors import UserError
from catalog.photos.confined import Rules

COLUMNS = ('path', 'category', 'product')

_ROW_BYTES = 100  # memory of a row besides its path
_ROWS_AT_ONCE = 4096
_LINE_BYTES = 1 << 20  # longest line of a CSV file


def read(path: str, rules: Rules) -> Any:
    """Returns the columns `path`, `category` and `product` that a list has, a pyarrow table.

    Raises:
      UserError: If the file is not a list of photos, or is larger than the rules allow.
    """
    import pyarrow as pa

    try:
        with _open(path, rules) as file:
            if path.endswith('.parquet'):
                batches = list(_parquet_batches(file, path, rules))
            else:
                batches = list(_csv_batches(file, path, rules))
        return pa.Table.from_batches(batches) if batches else pa.table({'path': []})
    except pa.ArrowException as error:
        message = str(error)
        if 'straddling' in message:
            message = f'a line of more than {_LINE_BYTES} bytes'
        raise UserError(f'{path}: must be a list of photos, got: {message}') from error


@contextlib.contextmanager
def _open(path: str, rules: Rules) -> Iterator[Any]:
    """Opens a file for pyarrow."""
    import pyarrow as pa

    if storage.is_remote(path):
        _check_bytes(storage.size(path), path, rules)
        yield pa.BufferReader(storage.read_bytes(path))
        return
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f'{path}: must be a file, got a folder, FIFO or device')
        _check_bytes(status.st_size, path, rules)
        # Not a PythonFile: threads of pyarrow that read ahead would wait for Python's lock.
        with pa.OSFile(f'/dev/fd/{file}') as opened:
            yield opened
    finally:
        os.close(file)


def _csv_batches(file: Any, path: str, rules: Rules) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    types = {'path': pa.large_string(), 'category': pa.int64(), 'product': pa.int64()}
    # Without threads, errors name the row. A block must contain a complete line.
    read_options = csv.ReadOptions(use_threads=False, block_size=_LINE_BYTES)
    with csv.open_csv(
        file, read_options=read_options, convert_options=csv.ConvertOptions(column_types=types)
    ) as reader:
        columns = _columns(reader.schema.names, path)
    file.seek(0)
    options = csv.ConvertOptions(column_types=types, include_columns=columns)
    with csv.open_csv(file, read_options=read_options, convert_options=options) as reader:
        total = 0
        for batch in reader:
            total += batch.nbytes + _ROW_BYTES * batch.num_rows
            _check_bytes(total, path, rules)
            yield batch


def _parquet_batches(file: Any, path: str, rules: Rules) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    declared = parquet.ParquetFile(file)
    columns = _columns(declared.schema_arrow.names, path)
    _check_bytes(_declared_bytes(declared.metadata, columns), path, rules)
    leaves = [declared.schema.column(n).path for n in range(len(declared.schema))]
    # As a dictionary, a path that is repeated a million times is in memory once.
    repeated = [name for name in columns if name in leaves]
    source = parquet.ParquetFile(file, metadata=declared.metadata, read_dictionary=repeated)
    total = 0
    for batch in source.iter_batches(_ROWS_AT_ONCE, columns=columns):
        total += _ROW_BYTES * batch.num_rows + sum(map(_unpacked_bytes, batch.columns))
        _check_bytes(total, path, rules)
        yield pa.record_batch(
            [
                column.cast(pa.large_string() if name == 'path' else pa.int64())
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ],
            names=batch.schema.names,
        )


def _unpacked_bytes(column: Any) -> int:
    """Returns the size of a column without its dictionary."""
    import pyarrow as pa
    from pyarrow import compute

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = compute.binary_length(column.dictionary).take(column.indices)
    return int(compute.sum(lengths).as_py() or 0)


def _declared_bytes(metadata: Any, columns: list[str]) -> int:
    """Returns the unpacked size of columns according to the file, and the memory of its rows."""
    total = _ROW_BYTES * int(metadata.num_rows)
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if column.path_in_schema.partition('.')[0] in columns:
                total += int(column.total_uncompressed_size)
    return total


def _columns(found: list[str], path: str) -> list[str]:
    if 'path' not in found:
        raise UserError(
            f'{path}: must have the columns path, category and optionally product, got '
            f'{", ".join(found)}'
        )
    return [name for name in COLUMNS if name in found]


def _check_bytes(size: int, path: str, rules: Rules) -> None:
    if size > rules.max_list_mb * 1e6:
        raise UserError(
            f'{path}: a list must take at most {rules.max_list_mb:g} MB of memory, got at least '
            f'{size / 1e6:,.0f} MB; --max_list_mb raises this'
        )
