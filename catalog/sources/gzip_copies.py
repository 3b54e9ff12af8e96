"""Unpacked local copies of gzip files, which can be read by range.

A gzip file can only be read from its beginning. Every machine unpacks a file once, under a name
derived from the file's path, size and last bytes, which include its checksum. The process that made
a copy or opened the source deletes it at exit. A copy that a killed run left behind is reused.

A gzip file of some KB may unpack to many GB: a file that unpacks to more than a number of times its
size is an error, and so is one that would fill the disk.
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

from catalog import storage, terminal
from catalog.errors import UserError
from catalog.process.progress import Progress
from catalog.storage import Reader

_TAIL_BYTES = 64 << 10
_READ_BYTES = 8 << 20
_MIN_LIMIT_BYTES = 256 << 20  # any file may unpack to this
_FREE_BYTES = 256 << 20  # of the disk, which a copy leaves to others


def is_gzip(path: str) -> bool:
    """Whether a file is gzip, by its name."""
    return path.lower().endswith('.gz')


def unpack(path: str, *, max_ratio: float) -> None:
    """Makes the local copy of a file and reports it on standard error.

    Args:
      path: Path of the gzip file.
      max_ratio: Largest size of the copy, in sizes of the gzip file.

    Raises:
      UserError: If the file is not an intact gzip file, or unpacks to more than is allowed.
    """
    copy_path.cache_clear()  # the file may have changed since this process last saw the path
    limit_bytes = max(int(max_ratio * storage.size(path)), _MIN_LIMIT_BYTES)
    copy = local_copy(path, limit_bytes=limit_bytes)
    atexit.register(storage.delete, copy)
    print(
        f'{terminal.escape(path)}: gzip is unpacked in one piece, not in parallel; the '
        f'{storage.size(copy) / 1e6:,.1f} MB stay in {os.path.dirname(copy)} until the job ends',
        file=sys.stderr,
        flush=True,
    )


def local_copy(path: str, *, limit_bytes: int) -> str:
    """Returns the path of the local copy of a file. Makes the copy if this machine has none.

    Args:
      path: Path of the gzip file.
      limit_bytes: Largest size of the copy.
    """
    copy = copy_path(path)
    if not os.path.exists(copy):
        _unpack(path, copy, limit_bytes=limit_bytes)
        atexit.register(storage.delete, copy)
    return copy


@functools.cache
def copy_path(path: str) -> str:
    """Returns where the local copy of a file is, or will be."""
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
        raise UserError(f'{error}; another TMPDIR avoids it') from error
    return folder


def _unpack(path: str, copy: str, *, limit_bytes: int) -> None:
    packed_bytes = storage.size(path)
    _check_disk(path, copy, packed_bytes)
    progress = Progress(f'unpack {os.path.basename(path)}', total=packed_bytes, unit='bytes')
    with (
        storage.open_reader(path) as reader,
        storage.write_atomic(copy) as file,
    ):
        source = _Sequential(reader, progress)
        try:
            with gzip.GzipFile(fileobj=io.BufferedReader(source, _READ_BYTES)) as unpacking:
                unpacked_bytes = 0
                while data := unpacking.read(_READ_BYTES):
                    unpacked_bytes += len(data)
                    if unpacked_bytes > limit_bytes:
                        raise UserError(
                            f'{path}: must unpack to at most {limit_bytes / 1e6:,.1f} MB, got more '
                            f'from {packed_bytes / 1e6:,.1f} MB; --max_unpack_ratio raises this'
                        )
                    _check_disk(path, copy, len(data))
                    file.write(data)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f'{path}: must be an intact gzip file, got damage in the first '
                f'{source.position} of {packed_bytes} bytes: {error}; get the file again'
            ) from error
    progress.close()


def _check_disk(path: str, copy: str, needed_bytes: int) -> None:
    folder = os.path.dirname(copy)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + _FREE_BYTES:
        raise UserError(
            f'{folder}: must have room for {path}, unpacked, and {_FREE_BYTES >> 20} MiB more, got '
            f'{free / 1e6:,.0f} MB; set TMPDIR to another disk'
        )


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
