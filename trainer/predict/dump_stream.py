"""Products of BSON dumps, one after another in the order of the files. Knows no TensorFlow.

Reads on from any place that it named. A dump is believed: the first document that is not whole is
an error that says where. A product whose pictures cannot be found is still a product.
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
from catalog.storage import Reader

_BLOCK_BYTES = 8 << 20  # 8 MiB: a request to an object store
_PROBE_BYTES = 64 << 10  # at each end of a file, to know it again


@dataclass(frozen=True)
class Place:
    """Where a document begins: offset in bytes (unpacked, of a .gz file) in a file of several."""

    file: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Found:
    """A product.

    Attributes:
      product_id: `_id`.
      pictures: encoded, in source order; none where they cannot be found.
      end: where the next document begins.
      read_bytes: of all files, as they lie, up to there or a little further.
    """

    product_id: int
    pictures: tuple[bytes, ...]
    end: Place
    read_bytes: int


def find_files(pattern: str) -> list[str]:
    """The files of patterns, comma-separated; each pattern's sorted.

    Raises:
      UserError: if a pattern matches none.
    """
    paths = []
    for part in filter(None, pattern.split(',')):
        found = storage.glob(part)
        if not found:
            raise UserError(f'--input must name files that are there, got {part!r}')
        paths += found
    if not paths:
        raise UserError('--input must name a file, got none')
    return paths


def fingerprint(paths: Sequence[str]) -> str:
    """What a run that goes on knows the files by: names, sizes, and the bytes at their ends."""
    digest = hashlib.sha256()
    for path in paths:
        size = storage.size(path)
        with storage.open_reader(path) as reader:
            ends = [reader.read_at(at, _PROBE_BYTES) for at in (0, max(size - _PROBE_BYTES, 0))]
        digest.update(repr((path, size, *ends)).encode())
    return digest.hexdigest()


def total_bytes(paths: Sequence[str]) -> int:
    """The size of all files, as they lie."""
    return sum(map(storage.size, paths))


def products(paths: Sequence[str], *, start: Place) -> Iterator[Found]:
    """The products from a place on.

    Raises:
      UserError: naming the file and the byte of a document that is not whole, or is no product.
    """
    before = total_bytes(paths[: start.file])
    for file in range(start.file, len(paths)):
        with _open(paths[file]) as source:
            at = start.offset if file == start.file else 0
            for data, position in _documents(source, at=at, path=paths[file]):
                product_id, pictures = _product(data, position, path=paths[file])
                end = Place(file, position + len(data))
                yield Found(product_id, pictures, end, before + source.raw_bytes)
        before += storage.size(paths[file])


def _product(data: bytes, position: int, *, path: str) -> tuple[int, tuple[bytes, ...]]:
    try:
        product = bson_document.parse(data)
    except BadDocument as error:
        if error.product_id is None or error.reason == 'invalid_document':
            raise UserError(f'{path}, byte {position}: must be a product, got: {error}') from error
        return error.product_id, ()
    pictures = tuple(data[offset : offset + length] for offset, length in product.pictures)
    return product.product_id, pictures


def _documents(source: '_Source', *, at: int, path: str) -> Iterator[tuple[bytes, int]]:
    """The bytes of each document and where it begins."""
    window, start = b'', 0  # the window begins at `at`, the next document at `start` within it
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
                f'{path}, byte {at + start}: must be a whole BSON document, got bytes that are '
                'none; is the file whole?'
            )
        window, at, start = window[start:] + more, at + start, 0


class _Source:
    """A file, unpacked if need be.

    Attributes:
      raw_bytes: of the file as it lies, that were read.
    """

    def __init__(self, reader: Reader, *, packed: bool) -> None:
        self._reader = reader
        self.raw_bytes = 0
        raw = io.BufferedReader(_Raw(self), _BLOCK_BYTES) if packed else None
        self._unpacked = gzip.GzipFile(fileobj=raw) if raw else None

    def read_raw(self, offset: int, length: int) -> bytes:
        data = self._reader.read_at(offset, length)
        self.raw_bytes = offset + len(data)
        return data

    def read_at(self, offset: int, length: int) -> bytes:
        if self._unpacked is None:
            return self.read_raw(offset, length)
        self._unpacked.seek(offset)  # forwards: unpacks what is between
        return self._unpacked.read(length)


class _Raw(io.RawIOBase):
    """The bytes of a source as a stream, for gzip."""

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


@contextlib.contextmanager
def _open(path: str) -> Iterator[_Source]:
    with storage.open_reader(path) as reader:
        try:
            yield _Source(reader, packed=path.endswith('.gz'))
        except (gzip.BadGzipFile, EOFError) as error:
            raise UserError(f'{path}: must be a whole gzip file, got: {error}') from error
