"""Reads a list of photos, CSV or Parquet, within a limit of memory.

Sizes are checked before anything is unpacked: a Parquet file of some KB may unpack to many GB, and
a CSV file may consist of one line. CSV may have commas, semicolons, tabs or `|` between its fields,
and is UTF-8, UTF-16 with a byte order mark, or else Windows-1252. What the cells mean is documented
in `catalog.photos.list_columns`.
"""

import codecs
import contextlib
import dataclasses
import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import storage
from catalog.errors import UserError
from catalog.formats import containers
from catalog.photos import list_columns
from catalog.photos.confined import Rules

_ROW_BYTES = 100  # memory of a row besides its path
_ROWS_AT_ONCE = 4096
_LINE_BYTES = 1 << 20  # longest line of a CSV file


@dataclass(frozen=True)
class PhotoList:
    """A list of photos with N rows.

    Attributes:
      table: The columns of `list_columns` that it has, a pyarrow table: `path` is large_string, or
        list of large_string; the others are int64 or string.
      rows: The number of each row in the file, int64 [N]. In CSV, as a spreadsheet shows it: the
        header is row 1. In Parquet, from 1.
      notes: Lines about columns that are not used.
    """

    table: Any
    rows: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()


def read(path: str, rules: Rules, names: Mapping[str, str] | None = None) -> PhotoList:
    """Reads a list.

    Args:
      path: The list.
      rules: What may be read.
      names: The list's own names of columns, by our names.

    Raises:
      UserError: If the file is not a list of photos, or is larger than the rules allow.
    """
    import pyarrow as pa

    try:
        with _open(path, rules) as file:
            _check_format(file, path)
            if path.lower().endswith('.parquet'):
                found = _read_parquet(file, path, rules, names or {})
            else:
                found = _read_csv(file, path, rules, names or {})
        table, kept = list_columns.convert(found.table, found.rows, path=path)
        return dataclasses.replace(found, table=table, rows=found.rows[kept])
    except pa.ArrowException as error:
        message = str(error)
        if 'straddling' in message:
            message = f'a line of more than {_LINE_BYTES} bytes; is a quote not closed?'
        elif 'Empty CSV file' in message:
            message = 'no rows'
        elif 'magic bytes not found' in message:
            message = 'a truncated Parquet file; get it again'
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


def _check_format(file: Any, path: str) -> None:
    """Checks that a list is not in another format than its name says, by its first bytes."""
    head = file.read(containers.HEAD_BYTES)
    if not head:
        raise UserError(f'{path}: must be a list of photos, got: an empty file')
    name, remedy = containers.recognize(head) or ('', '')
    if head.startswith(containers.GZIP):
        remedy = 'unpack it first'
    is_parquet = path.lower().endswith('.parquet')
    if is_parquet and not head.startswith(containers.PARQUET):
        raise UserError(
            f'{path}: must be Parquet, as its name says, got {name or "another format"}'
            f'{remedy and "; "}{remedy}'
        )
    if name and name != containers.TEXT and not is_parquet:
        raise UserError(f'{path}: must be a list of photos, got {name}; {remedy}')
    if not is_parquet and not _is_utf16(head) and b'\0' in head.partition(b'\n')[0]:
        raise UserError(_describe_encoding(path))
    file.seek(0)


def _read_csv(file: Any, path: str, rules: Rules, names: Mapping[str, str]) -> PhotoList:
    encoding = _encoding(file)
    try:
        return _read_decoded(file, encoding, path, rules, names)
    except UnicodeDecodeError as error:
        raise UserError(_describe_encoding(path)) from error


def _describe_encoding(path: str) -> str:
    return (
        f'{path}: must be UTF-8, UTF-16 with a byte order mark or Windows-1252, got another '
        'encoding; save it as "CSV UTF-8"'
    )


def _encoding(file: Any) -> str:
    """Returns the encoding of a CSV file, from all of its bytes."""
    file.seek(0)
    if _is_utf16(file.read(4)):
        return 'utf-16'
    file.seek(0)
    decoder = codecs.getincrementaldecoder('utf-8')()
    try:
        while data := file.read(_LINE_BYTES):
            decoder.decode(data)
        decoder.decode(b'', final=True)
    except UnicodeDecodeError:
        return 'cp1252'
    return 'utf-8'


def _is_utf16(head: bytes) -> bool:
    """Returns whether text begins with a byte order mark of UTF-16, and none of UTF-32."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return head.startswith(marks) and not head.startswith(codecs.BOM_UTF32_LE)


def _read_decoded(
    file: Any, encoding: str, path: str, rules: Rules, names: Mapping[str, str]
) -> PhotoList:
    import pyarrow as pa
    from pyarrow import csv

    file.seek(0)
    separator, skipped = _separator(file.read(_LINE_BYTES), encoding)
    wrong_rows: list[Any] = []
    blank_rows: list[int] = []

    def note(row: Any) -> str:
        if row.text.strip():
            wrong_rows.append(row)
            return 'error'
        blank_rows.append(row.number)
        return 'skip'

    # Without threads, rows have numbers. A block must contain a complete line. Empty lines are rows
    # without cells, so that they count.
    read_options = csv.ReadOptions(
        use_threads=False,
        block_size=_LINE_BYTES,
        skip_rows=skipped,
        encoding=encoding,
    )
    parse_options = csv.ParseOptions(
        delimiter=separator, ignore_empty_lines=False, invalid_row_handler=note
    )
    try:
        file.seek(0)
        with csv.open_csv(file, read_options=read_options, parse_options=parse_options) as reader:
            found = reader.schema.names
        columns = list_columns.choose(found, names, path=path)
        types = {name: pa.large_string() for name in columns.values()}
        options = csv.ConvertOptions(column_types=types, include_columns=list(columns.values()))
        file.seek(0)
        blank_rows.clear()
        with csv.open_csv(
            file,
            read_options=read_options,
            parse_options=parse_options,
            convert_options=options,
        ) as reader:
            batches = []
            total = 0
            for batch in reader:
                total += batch.nbytes + _ROW_BYTES * batch.num_rows
                _check_bytes(total, path, rules)
                batches.append(batch.rename_columns(list(columns)))
    except pa.ArrowInvalid as error:
        if wrong_rows:
            raise UserError(f'{path}{_describe_wrong(wrong_rows[0])}') from error
        raise
    table = _join(batches)
    rows = np.arange(table.num_rows) + skipped + 2  # the header is before them
    for number in blank_rows:
        rows[rows >= number] += 1
    return PhotoList(table, rows, list_columns.note_unused(found, names, path=path))


def _describe_wrong(row: Any) -> str:
    """Returns what is wrong with a row that has not as many fields as the header."""
    place = f', row {row.number}' if row.number else ''
    shown = repr(row.text[:200])
    if row.text.count('"') % 2:
        return f'{place}: a quote must be closed, got {shown}; add the other one, or remove it'
    return (
        f'{place}: a row must have {row.expected_columns} fields as the header has, got '
        f'{row.actual_columns}: {shown}'
    )


def _join(batches: list[Any]) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches(batches) if batches else pa.table({'path': []})


def _separator(head: bytes, encoding: str) -> tuple[str, int]:
    """Returns the character between the fields, and the number of lines before the header.

    It is the most frequent of four in the header outside of quotes. A line such as `sep=;`, which
    Excel reads and other programs write for it, names the separator.
    """
    lines = head.decode(encoding, errors='replace').removeprefix('\ufeff').splitlines()
    blank = len(list(itertools.takewhile(lambda line: not line.strip(), lines)))
    first = lines[blank] if blank < len(lines) else ''
    if first.lower().startswith('sep=') and len(first) == len('sep=;'):
        return first[-1], blank + 1
    unquoted = ''.join(first.split('"')[::2])
    return max(',;\t|', key=unquoted.count), blank


def _read_parquet(file: Any, path: str, rules: Rules, names: Mapping[str, str]) -> PhotoList:
    import pyarrow as pa
    from pyarrow import parquet

    declared = parquet.ParquetFile(file)
    found = declared.schema_arrow.names
    columns = list_columns.choose(found, names, path=path)
    ours = {theirs: name for name, theirs in columns.items()}
    _check_bytes(_declared_bytes(declared.metadata, list(ours)), path, rules)
    leaves = [declared.schema.column(n).path for n in range(len(declared.schema))]
    # As a dictionary, a path that is repeated a million times is in memory once.
    repeated = [name for name in ours if name in leaves]
    source = parquet.ParquetFile(file, metadata=declared.metadata, read_dictionary=repeated)
    batches = []
    total = 0
    for batch in source.iter_batches(_ROWS_AT_ONCE, columns=list(ours)):
        total += _ROW_BYTES * batch.num_rows + sum(map(_unpacked_bytes, batch.columns))
        _check_bytes(total, path, rules)
        plain = [
            column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            for column in batch.columns
        ]
        batches.append(pa.record_batch(plain, names=[ours[name] for name in batch.schema.names]))
    table = _join(batches)
    rows = np.arange(1, table.num_rows + 1)
    return PhotoList(table, rows, list_columns.note_unused(found, names, path=path))


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


def _check_bytes(size: int, path: str, rules: Rules) -> None:
    if size > rules.max_list_mb * 1e6:
        raise UserError(
            f'{path}: a list must take at most {rules.max_list_mb:g} MB of memory, got at least '
            f'{size / 1e6:,.0f} MB; --max_list_mb raises this'
        )
