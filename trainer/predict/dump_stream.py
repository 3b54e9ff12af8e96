"""Reads the products of BSON dumps, in the order of the files. Uses no TensorFlow.

Reading can start at any position that it returned. An incomplete document is an error with its
position: a truncated dump must not pass as a complete test set. A product whose pictures cannot be
found is still a product.
"""

import contextlib
import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from catalog import storage
from catalog.errors import UserError
from catalog.formats import bson_document
from catalog.formats.bson_document import BadDocument
from catalog.inputs import parts
from catalog.schema import product_document
from catalog.storage import Reader

_BLOCK_BYTES = 8 << 20  # 8 MiB: a request to an object store
_PROBE_BYTES = 64 << 10  # at each end of a file, to recognize it


@dataclass(frozen=True)
class DumpPosition:
    """Where a document starts: number of the file, offset in its (decompressed) bytes."""

    file: int = 0
    offset: int = 0


@dataclass(frozen=True)
class DumpProduct:
    """A product of a dump.

    Attributes:
      product_id: `_id`.
      pictures: Encoded, in source order; empty if they cannot be found.
      end: Where the next document starts.
      read_bytes: Bytes read of all files, compressed, at least up to `end`.
      part: Number of the part of the file that it is in.
      key: The id as in the source if it is not an integer, else ''.
      category: Its category id or a text, None if it has none.
    """

    product_id: int
    pictures: tuple[bytes, ...]
    end: DumpPosition
    read_bytes: int
    part: int = 0
    key: str = ''
    category: int | str | None = None


@dataclass(frozen=True)
class DumpFiles:
    """The products of BSON files.

    Attributes:
      paths: Paths of the files.
    """

    paths: tuple[str, ...]

    def fingerprint(self) -> str:
        """Returns a digest of the files' names, sizes, and first and last bytes."""
        return fingerprint(self.paths)

    def total_bytes(self) -> int:
        """Returns the size of all files, compressed."""
        return total_bytes(self.paths)

    def check(self) -> None:
        """Reads the first product of each file.

        Raises:
          UserError: If a file does not start with a product.
        """
        check_files(self.paths)

    def file_name(self, file: int) -> str:
        """Returns the path of a file."""
        return self.paths[file]

    def read(self, start: DumpPosition) -> Iterator[DumpProduct]:
        """Yields the products from a position on. Raises as `read_products` does."""
        yield from read_products(self.paths, start=start)


def find_files(pattern: str | Sequence[str]) -> list[str]:
    """Returns the files of comma-separated patterns; those of each pattern are sorted.

    The path of an existing file is taken literally, commas and wildcards included.

    Raises:
      UserError: If a pattern matches no file.
    """
    if isinstance(pattern, str):
        pattern = [pattern] if storage.exists(pattern) else pattern.split(',')
    paths = []
    for part in filter(None, pattern):
        matches = storage.glob(part)
        if not matches:
            raise UserError(f'--input must name existing files, got {part!r}')
        paths += matches
    if not paths:
        raise UserError('--input must name a file, got none')
    return paths


def check_files(paths: Sequence[str]) -> None:
    """Reads the first product of each file.

    Raises:
      UserError: If a file does not start with a product.
    """
    for path in paths:
        next(read_products([path], start=DumpPosition()), None)


def fingerprint(paths: Sequence[str]) -> str:
    """Returns a digest of the files' names, sizes, and first and last bytes."""
    digest = hashlib.sha256()
    for path in paths:
        size = storage.size(path)
        with storage.open_reader(path) as reader:
            ends = [reader.read_at(at, _PROBE_BYTES) for at in (0, max(size - _PROBE_BYTES, 0))]
        digest.update(repr((path, size, *ends)).encode())
    return digest.hexdigest()


def total_bytes(paths: Sequence[str]) -> int:
    """Returns the size of all files, compressed."""
    return sum(map(storage.size, paths))


def read_products(paths: Sequence[str], *, start: DumpPosition) -> Iterator[DumpProduct]:
    """Yields the products from a position on.

    Raises:
      UserError: If a document is incomplete or not a product, naming its file and byte.
    """
    before = total_bytes(paths[: start.file])
    for file in range(start.file, len(paths)):
        with _open(paths[file]) as source:
            offset = start.offset if file == start.file else 0
            for data, position in _documents(source, offset, path=paths[file]):
                end = DumpPosition(file, position + len(data))
                product_id, category, pictures = _product(data, position, path=paths[file])
                read_bytes = before + source.raw_bytes
                part = parts.part_of(position)
                yield DumpProduct(product_id, pictures, end, read_bytes, part, category=category)
        before += storage.size(paths[file])


def _product(data: bytes, position: int, *, path: str) -> tuple[int, int | None, tuple[bytes, ...]]:
    """Returns the id, category id and pictures of a document."""
    try:
        product = product_document.parse(data)
    except BadDocument as error:
        if error.product_id is None or error.reason == 'invalid_document':
            raise UserError(f'{path}, byte {position}: must be a product, got: {error}') from error
        return error.product_id, None, ()
    pictures = tuple(data[offset : offset + length] for offset, length in product.pictures)
    return product.product_id, product.category_id, pictures


def _documents(source: '_Source', at: int, *, path: str) -> Iterator[tuple[bytes, int]]:
    """The bytes of each document from `at` on, and where it starts."""
    window, start = b'', 0  # the window starts at `at`, the next document at `start` within it
    while True:
        length = bson_document.framed_length(window, start)
        if length and start + length <= len(window):
            yield window[start : start + length], at + start
            start += length
            continue
        left = len(window) - start
        more = source.read_at(at + len(window), _BLOCK_BYTES)
        if not more and not left:
            return
        if not more or (not length and left >= bson_document.MIN_BYTES):
            raise UserError(
                f'{path}, byte {at + start}: must be a complete BSON document, found invalid data; '
                'is the file truncated?'
            )
        window, at, start = window[start:] + more, at + start, 0


@contextlib.contextmanager
def _open(path: str) -> Iterator['_Source']:
    with storage.open_reader(path) as reader:
        try:
            yield _Source(reader, compressed=path.endswith('.gz'))
        except (gzip.BadGzipFile, EOFError) as error:
            raise UserError(f'{path}: must be a complete gzip file, got: {error}') from error


class _Source:
    """A file, decompressed if it is a gzip file.

    Attributes:
      raw_bytes: Bytes read of the file, compressed.
    """

    def __init__(self, reader: Reader, *, compressed: bool) -> None:
        self._reader = reader
        self.raw_bytes = 0
        raw = io.BufferedReader(_RawStream(self), _BLOCK_BYTES) if compressed else None
        self._decompressed = gzip.GzipFile(fileobj=raw) if raw else None

    def read_raw(self, offset: int, length: int) -> bytes:
        data = self._reader.read_at(offset, length)
        self.raw_bytes = offset + len(data)
        return data

    def read_at(self, offset: int, length: int) -> bytes:
        if self._decompressed is None:
            return self.read_raw(offset, length)
        self._decompressed.seek(offset)  # forwards: decompresses the bytes in between
        return self._decompressed.read(length)


class _RawStream(io.RawIOBase):
    """The compressed bytes of a source as a stream, for gzip."""

    def __init__(self, source: _Source) -> None:
        super().__init__()
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.read_raw(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
