"""Local and `gs://` paths, read whole or by range, written whole or not at all.

A local file is written under a temporary name beside its own and renamed. An object is written to
a local temporary file and uploaded in one piece; `catalog.object_store` owns how.
"""

import contextlib
import glob as local_glob
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from catalog import object_store

_TEMPORARY = '.partial-'
_AHEAD_BYTES = 16 << 20
_ADVICE_BYTES = 128 << 10  # Linux may pass over what is beyond the read-ahead of a device
_PIECE_BYTES = 16 << 20  # one request to an object store


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


def read_pieces(
    paths: Mapping[int, str], pieces: Iterable[tuple[int, int, int]]
) -> Iterator[bytes]:
    """Pieces of local files, by file, offset and length; shorter at the end of the file.

    Many small ones: in half the time that `read_at` takes for each.
    """
    with contextlib.ExitStack() as stack:
        files = {
            file: stack.enter_context(open(path, 'rb', buffering=0)).fileno()
            for file, path in paths.items()
        }
        for file, offset, length in pieces:
            try:
                data = os.pread(files[file], length, offset)
            except OSError:
                with _naming(paths[file]):
                    raise
            yield data


def prefetch(path: str, pieces: Iterable[tuple[int, int]]) -> None:
    """Tells the kernel that it may begin to read pieces of a local file, from a byte to another."""
    if not hasattr(os, 'posix_fadvise'):
        return
    with open(path, 'rb', buffering=0) as file:
        for begin, end in pieces:
            for at in range(begin, end, _ADVICE_BYTES):
                os.posix_fadvise(
                    file.fileno(), at, min(end - at, _ADVICE_BYTES), os.POSIX_FADV_WILLNEED
                )


def sha256(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal digits; it is read in pieces."""
    digest = hashlib.sha256()
    with open_reader(path) as reader:
        offset = 0
        while piece := reader.read_at(offset, _PIECE_BYTES):
            digest.update(piece)
            offset += len(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def write_atomic(path: str, *, large: bool = False, synced: bool = True) -> Iterator[BinaryIO]:
    """Opens a file that gets its name when the block ends well, and is deleted otherwise.

    Args:
      path: of the file.
      large: and nobody reads it soon. The disk takes what is written while more comes, and the
        memory of a local file's pages is given back: with it the next file is written, which costs
        a seventh of taking fresh memory.
      synced: False if it may be cut short by a power cut, or if `sync` is called later.
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
        kind = _HandedOn if large and hasattr(os, 'posix_fadvise') else io.FileIO
        with _naming(path), io.BufferedWriter(kind(temporary, 'wb')) as file:
            yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


class _HandedOn(io.FileIO):
    """A file that the disk begins to take while more of it is written, which nobody waits for."""

    _pending_bytes = 0

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._pending_bytes += written
        if self._pending_bytes >= _AHEAD_BYTES:
            self._hand_on()
        return written

    def close(self) -> None:
        if not self.closed:
            self._hand_on()
        super().close()

    def _hand_on(self) -> None:
        # Of pages that are not on the disk yet, Linux begins to write those; others are given back.
        os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._pending_bytes = 0


def sync(path: str) -> None:
    """Waits until the disk has the whole of a file; an object store has it as soon as it is there.

    Raises:
      OSError: if the disk could not take it.
    """
    if not is_remote(path):
        with _naming(path), open(path, 'rb') as file:
            os.fsync(file.fileno())


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
