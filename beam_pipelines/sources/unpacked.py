"""Local copies of what gzip files unpack to, so that they can be read by range.

gzip can only be read from its beginning. Every machine unpacks a file once, whole, under a name
that the file's path, size and last bytes decide; they end in its checksum. Whoever made a copy, or
opened the source, deletes it when the process ends; what a killed run left is used by the next.
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
from pathlib import Path

from catalog import storage
from catalog.errors import UserError
from catalog.process.progress import Progress
from catalog.storage import Reader

_TAIL_BYTES = 64 << 10
_READ_BYTES = 8 << 20


def is_packed(path: str) -> bool:
    """Whether a file is gzip, by its name."""
    return path.endswith('.gz')


def unpack(path: str) -> None:
    """Makes the local copy of a file, and says so on standard error.

    Raises:
      UserError: if the file is no whole gzip file.
    """
    _name.cache_clear()  # the file may be another than when this process last saw the path
    copy = copy_of(path)
    atexit.register(storage.delete, copy)
    print(
        f'{path}: gzip is read in one piece, not in parallel; its {storage.size(copy) / 1e6:,.1f} '
        f'MB lie in {os.path.dirname(copy)} until the job ends',
        file=sys.stderr,
        flush=True,
    )


def copy_of(path: str) -> str:
    """The path of the local copy of a file, which is made if this machine has none."""
    copy = _name(path)
    if not os.path.exists(copy):
        _make(path, copy)
        atexit.register(storage.delete, copy)
    return copy


@functools.cache
def _name(path: str) -> str:
    size = storage.size(path)
    with storage.open_reader(path) as reader:
        tail = reader.read_at(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    key = hashlib.sha256(repr((path, size, tail)).encode()).hexdigest()[:32]
    return os.path.join(_folder(), f'{key}.bson')


def _folder() -> str:
    """The user's own folder for copies; TMPDIR decides where."""
    folder = Path(tempfile.gettempdir()) / f'shard-job-{os.getuid()}'
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f'{folder}: must belong to you, got another owner; set TMPDIR')
    return str(folder)


def _make(path: str, copy: str) -> None:
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
                f'{path}: must be a whole gzip file, got damage within the first {source.at} of '
                f'{packed_bytes} bytes: {error}'
            ) from error
    progress.close()


class _Sequential(io.RawIOBase):
    """A file that is read from its beginning to its end.

    Attributes:
      at: bytes that were read.
    """

    def __init__(self, reader: Reader, progress: Progress) -> None:
        super().__init__()
        self._reader = reader
        self._progress = progress
        self.at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._reader.read_at(self.at, len(buffer))
        buffer[: len(data)] = data
        self.at += len(data)
        self._progress.update(self.at)
        return len(data)
