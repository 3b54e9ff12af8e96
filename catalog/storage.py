"""Local and `gs://` paths, read whole or by range, written whole or not at all.

A local file is written under a temporary name beside its own and renamed. An object is uploaded in
one piece from a local temporary file, checksum included: an upload that is cut off leaves nothing.
`STORAGE_EMULATOR_HOST` is honoured by the client library.
"""

import contextlib
import functools
import glob as local_glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from catalog.errors import UserError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

GS = 'gs://'
_TEMPORARY = '.partial-'


class Reader(Protocol):
    """Reads an open file by range."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end of the file."""

    def close(self) -> None:
        """Gives back what the reader holds."""


def is_remote(path: str) -> bool:
    """Whether a path is on an object store."""
    return path.startswith(GS)


def join(folder: str, *names: str) -> str:
    """A path within a folder."""
    return '/'.join([folder.rstrip('/'), *names])


def exists(path: str) -> bool:
    """Whether there is such a file or object."""
    if is_remote(path):
        return bool(_blob(path).exists())
    return os.path.exists(path)


def size(path: str) -> int:
    """A file's size in bytes.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    if not is_remote(path):
        return os.stat(path).st_size
    blob = _blob(path)
    if not blob.exists():
        raise FileNotFoundError(2, 'No such object', path)
    blob.reload()
    return int(blob.size or 0)


def glob(pattern: str) -> list[str]:
    """The files that a pattern matches, sorted; a path without wildcards is itself."""
    if not is_remote(pattern):
        if not local_glob.has_magic(pattern):
            return [pattern] if os.path.exists(pattern) else []
        return sorted(local_glob.glob(pattern, recursive=True))
    if not local_glob.has_magic(pattern):
        return [pattern] if exists(pattern) else []
    bucket, name = _split(pattern)
    blobs = _client().list_blobs(bucket, match_glob=name)
    return sorted(f'{GS}{bucket}/{blob.name}' for blob in blobs)


def list_files(folder: str) -> list[str]:
    """The names of the files directly in a folder, sorted; empty if there is no such folder."""
    if not is_remote(folder):
        if not os.path.isdir(folder):
            return []
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    bucket, prefix = _split(folder.rstrip('/') + '/')
    blobs = _client().list_blobs(bucket, prefix=prefix, delimiter='/')
    return sorted(blob.name[len(prefix) :] for blob in blobs)


def read_bytes(path: str) -> bytes:
    """The whole of a file.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    if not is_remote(path):
        return Path(path).read_bytes()
    from google.api_core.exceptions import NotFound

    try:
        data: bytes = _blob(path).download_as_bytes()
    except NotFound as error:
        raise FileNotFoundError(2, 'No such object', path) from error
    return data


class _LocalReader:
    def __init__(self, path: str) -> None:
        self._file = open(path, 'rb', buffering=0)  # noqa: SIM115  (closed by close)

    def read_at(self, offset: int, length: int) -> bytes:
        pieces = []
        while length > 0 and (piece := os.pread(self._file.fileno(), length, offset)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def close(self) -> None:
        self._file.close()


class _ObjectReader:
    def __init__(self, path: str) -> None:
        self._blob = _blob(path)

    def read_at(self, offset: int, length: int) -> bytes:
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        if length <= 0:
            return b''
        try:
            data: bytes = self._blob.download_as_bytes(start=offset, end=offset + length - 1)
        except RequestRangeNotSatisfiable:
            return b''
        return data

    def close(self) -> None:
        pass


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """Opens a file for reading by range."""
    reader: Reader = _ObjectReader(path) if is_remote(path) else _LocalReader(path)
    try:
        yield reader
    finally:
        reader.close()


@contextlib.contextmanager
def write_atomic(path: str) -> Iterator[BinaryIO]:
    """Opens a file that gets its name when the block ends well, and is deleted otherwise."""
    if is_remote(path):
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            _blob(path).upload_from_file(file, checksum='crc32c', retry=_retry())
        return
    folder, name = os.path.split(path)
    os.makedirs(folder or '.', exist_ok=True)
    temporary = os.path.join(folder, f'{_TEMPORARY}{os.getpid()}-{name}')
    try:
        with open(temporary, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_bytes(path: str, data: bytes) -> None:
    """Writes a whole file, atomically."""
    with write_atomic(path) as file:
        file.write(data)


def rename(source: str, target: str) -> None:
    """Gives a file another name in the same storage; an existing target is replaced."""
    if not is_remote(source):
        os.makedirs(os.path.dirname(target) or '.', exist_ok=True)
        os.replace(source, target)
        return
    blob = _blob(source)
    _, name = _split(target)
    blob.bucket.copy_blob(blob, blob.bucket, name)
    blob.delete()


def delete(path: str) -> None:
    """Deletes a file; one that is not there is no error."""
    if not is_remote(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    from google.api_core.exceptions import NotFound

    with contextlib.suppress(NotFound):
        _blob(path).delete()


def delete_folder(folder: str) -> None:
    """Deletes a folder and all that is in it; one that is not there is no error."""
    if not is_remote(folder):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        return
    bucket, prefix = _split(folder.rstrip('/') + '/')
    for blob in _client().list_blobs(bucket, prefix=prefix):
        delete(f'{GS}{bucket}/{blob.name}')


def _split(path: str) -> tuple[str, str]:
    bucket, _, name = path.removeprefix(GS).partition('/')
    if not bucket or not name:
        raise UserError(f'an object is named gs://BUCKET/NAME, got {path!r}')
    return bucket, name


@functools.cache
def _client_of(process: int) -> 'Client':
    del process  # a client must not be shared with a forked child
    from google.cloud import storage

    if os.environ.get('STORAGE_EMULATOR_HOST'):
        return storage.Client.create_anonymous_client()
    return storage.Client()


def _client() -> 'Client':
    return _client_of(os.getpid())


def _retry() -> object:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY  # writing the same bytes again is harmless


def _blob(path: str) -> 'Blob':
    bucket, name = _split(path)
    return _client().bucket(bucket).blob(name)
