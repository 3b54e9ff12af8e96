"""Local and `gs://` paths, read whole or by range, written whole or not at all.

A local file is written under a temporary name beside its own and renamed. An object is written to
a local temporary file and uploaded in one piece; `catalog.object_store` owns how.
"""

import contextlib
import glob as local_glob
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from catalog import object_store

_TEMPORARY = '.partial-'
_AHEAD_BYTES = 16 << 20
_AHEAD_SECONDS = 0.02  # between looks at how much was written


class Reader(Protocol):
    """Reads an open file by range."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end of the file."""

    def close(self) -> None:
        """Gives back what the reader holds."""


def is_remote(path: str) -> bool:
    """Whether a path is on an object store."""
    return path.startswith(object_store.GS)


def is_temporary(name: str) -> bool:
    """Whether a file is one that was being written when its writer was killed."""
    return os.path.basename(name).startswith(_TEMPORARY)


def join(folder: str, *names: str) -> str:
    """A path within a folder."""
    return '/'.join([folder.rstrip('/'), *names])


def exists(path: str) -> bool:
    """Whether there is such a file or object."""
    return object_store.exists(path) if is_remote(path) else os.path.exists(path)


def size(path: str) -> int:
    """A file's size in bytes.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    return object_store.size(path) if is_remote(path) else os.stat(path).st_size


def glob(pattern: str) -> list[str]:
    """The files that a pattern matches, sorted; a path without wildcards is itself."""
    if not local_glob.has_magic(pattern):
        return [pattern] if exists(pattern) else []
    if is_remote(pattern):
        return object_store.glob(pattern)
    return sorted(local_glob.glob(pattern, recursive=True))


def list_files(folder: str) -> list[str]:
    """The names of the files directly in a folder, sorted; empty if there is no such folder."""
    if is_remote(folder):
        return object_store.list_files(folder)
    if not os.path.isdir(folder):
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())


def read_bytes(path: str) -> bytes:
    """The whole of a file.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    return object_store.read_bytes(path) if is_remote(path) else Path(path).read_bytes()


class _LocalReader:
    def __init__(self, path: str) -> None:
        self._file = open(path, 'rb', buffering=0)  # noqa: SIM115  (closed by close)

    def read_at(self, offset: int, length: int) -> bytes:
        pieces = []
        with _naming(self._file.name):
            while length > 0 and (piece := os.pread(self._file.fileno(), length, offset)):
                pieces.append(piece)
                offset += len(piece)
                length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """Opens a file for reading by range."""
    reader: Reader = object_store.ObjectReader(path) if is_remote(path) else _LocalReader(path)
    try:
        yield reader
    finally:
        reader.close()


@contextlib.contextmanager
def write_atomic(path: str, *, large: bool = False, synced: bool = True) -> Iterator[BinaryIO]:
    """Opens a file that gets its name when the block ends well, and is deleted otherwise.

    Args:
      path: of the file.
      large: and nobody reads it soon. The disk takes what is written while more comes, and the
        memory of a local file's pages is given back: with it the next file is written, which costs
        a seventh of taking fresh memory.
      synced: False if it may be empty after a power cut.
    """
    if is_remote(path):
        with (
            _naming(f'{tempfile.gettempdir()}, for {path}'),
            tempfile.TemporaryFile() as file,
        ):
            yield file
            object_store.upload(path, file)
        return
    folder, name = os.path.split(path)
    os.makedirs(folder or '.', exist_ok=True)
    temporary = os.path.join(folder, f'{_TEMPORARY}{os.getpid()}-{name}')
    try:
        with _naming(path), open(temporary, 'wb') as file:
            with _written_ahead(file) if large else contextlib.nullcontext():
                yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
            if large and hasattr(os, 'posix_fadvise'):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _written_ahead(file: BinaryIO) -> Iterator[None]:
    """Has the disk take what is written to a file every now and then, beside the writer."""
    ended = threading.Event()
    errors: list[OSError] = []

    def sync() -> None:
        taken = 0
        while not ended.wait(_AHEAD_SECONDS):
            size = os.fstat(file.fileno()).st_size
            if size - taken >= _AHEAD_BYTES:
                taken = size
                try:
                    os.fsync(file.fileno())
                except OSError as error:  # the kernel tells it once
                    errors.append(error)
                    return

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]


def write_bytes(path: str, data: bytes, *, synced: bool = True) -> None:
    """Writes a whole file, atomically; `synced` as for `write_atomic`."""
    with write_atomic(path, synced=synced) as file:
        file.write(data)


def check_writable(folder: str) -> None:
    """Writes a file into a folder and deletes it.

    Raises:
      OSError: if that cannot be done, and why.
    """
    path = join(folder, f'{_TEMPORARY}check')
    write_bytes(path, b'')
    delete(path)


def rename(source: str, target: str) -> None:
    """Gives a file another name in the same storage; an existing target is replaced."""
    if is_remote(source):
        object_store.rename(source, target)
        return
    os.makedirs(os.path.dirname(target) or '.', exist_ok=True)
    os.replace(source, target)


def delete(path: str) -> None:
    """Deletes a file; one that is not there is no error."""
    if is_remote(path):
        object_store.delete(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def delete_folder(folder: str) -> None:
    """Deletes a folder and all that is in it; one that is not there is no error."""
    if is_remote(folder):
        object_store.delete_folder(folder)
        return
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Names the file in an error of the system's that names none: a full disk, a bad block."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), path) from error
