"""Unpacked local copies of gzip files, which can be read by range.

A gzip file can only be read from its beginning. Every machine unpacks a file once, under a name
derived from the file's path, size and last bytes, which include its checksum. The process that made
a copy or opened the source deletes it at exit. A copy that a killed run left behind is reused.
"""

import atexit
import functools
import gzip
import hashlib
import io
import os
import shutil
import sys
import tempfile
import zlib

from catalog import storage
from catalog.errors import UserError
from catalog.process.progress import Progress
from catalog.storage import Reader

_TAIL_BYTES = 64 << 10
_READ_BYTES = 8 << 20


def is_gzip(path: str) -> bool:
    """Whether a file is gzip, by its name."""
    return path.endswith('.gz')


def unpack(path: str) -> None:
    """Makes the local copy of a file and reports it on standard error.

    Raises:
      UserError: If the file is not an intact gzip file.
    """
    _copy_path.cache_clear()  # the file may have changed since this process last saw the path
    copy = local_copy(path)
    atexit.register(storage.delete, copy)
    print(
        f'{path}: gzip is unpacked in one piece, not in parallel; the '
        f'{storage.size(copy) / 1e6:,.1f} MB stay in {os.path.dirname(copy)} until the job ends',
        file=sys.stderr,
        flush=True,
    )


def local_copy(path: str) -> str:
    """Returns the path of the local copy of a file. Makes the copy if this machine has none."""
    copy = _copy_path(path)
    if not os.path.exists(copy):
        _unpack(path, copy)
        atexit.register(storage.delete, copy)
    return copy


@functools.cache
def _copy_path(path: str) -> str:
    size = storage.size(path)
    with storage.open_reader(path) as reader:
        tail = reader.read_at(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    key = hashlib.sha256(repr((path, size, tail)).encode()).hexdigest()[:32]
    return os.path.join(_folder(), f'{key}.bson')


def _folder() -> str:
    """Returns the user's own folder for copies, below TMPDIR."""
    folder = os.path.join(tempfile.gettempdir(), f'shard-job-{os.getuid()}')
    try:
        storage.make_private_folder(folder)
    except UserError as error:
        raise UserError(f'{error}, or set TMPDIR') from error
    return folder


def _unpack(path: str, copy: str) -> None:
    packed_bytes = storage.size(path)
    progress = Progress(f'unpack {os.path.basename(path)}', total=packed_bytes, unit='bytes')
    with (
        storage.open_reader(path) as reader,
        storage.write_atomic(copy) as file,
    ):
        source = _Sequential(reader, progress)
        try:
            with gzip.GzipFile(fileobj=io.BufferedReader(source, _READ_BYTES)) as unpacking:
                shutil.copyfileobj(unpacking, file, _READ_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f'{path}: must be an intact gzip file, got damage in the first '
                f'{source.position} of {packed_bytes} bytes: {error}'
            ) from error
    progress.close()


class _Sequential(io.RawIOBase):
    """A file that is read from its beginning to its end.

    Attributes:
      position: Number of bytes that were read.
    """

    def __init__(self, reader: Reader, progress: Progress) -> None:
        super().__init__()
        self._reader = reader
        self._progress = progress
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._reader.read_at(self.position, len(buffer))
        buffer[: len(data)] = data
        self.position += len(data)
        self._progress.update(self.position)
        return len(data)
