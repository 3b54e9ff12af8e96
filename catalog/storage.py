"""Reads and writes local paths and objects (`gs://`, `s3://`, `az://`). Writes are atomic.

A local file is written under a random temporary name in the same folder, then renamed. Neither
name is followed if it is a link. An object is written to a local temporary file, then uploaded by
`catalog.object_store`.
"""

import contextlib
import glob as local_glob
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from catalog import object_store
from catalog.errors import UserError
from catalog.stores import names

SCHEMES = object_store.SCHEMES

_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]+:/+')
_TEMPORARY = '.partial-'
_AHEAD_BYTES = 16 << 20
_ADVICE_BYTES = 128 << 10  # Linux may ignore the part of an advice beyond a device's read-ahead
_PIECE_BYTES = 16 << 20  # one request to an object store


class Reader(Protocol):
    """Reads ranges of an open file."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns the bytes [offset, offset + length), fewer at the end of the file."""

    def close(self) -> None:
        """Releases the file."""


def checked_path(path: str, *, schemes: Sequence[str] = object_store.SCHEMES) -> str:
    """Returns a path that a user gave, with `~` expanded.

    Args:
      path: A local path, or one that begins with a scheme.
      schemes: The schemes that are valid, such as `gs://`.

    Raises:
      UserError: If it is empty or has another scheme, or the library for its scheme is missing.
    """
    if not path.strip():
        raise UserError('must name a file or folder, got an empty value (an unset variable?)')
    scheme = _SCHEME.match(path)
    if scheme and not path.startswith(tuple(schemes)):
        raise UserError(names.unknown_scheme(path, scheme[0], schemes))
    if scheme and path.startswith(names.SCHEMES):
        object_store.check_available(path)
    return path if scheme else os.path.expanduser(path)


def is_remote(path: str) -> bool:
    """Returns whether a path is on an object store.

    Raises:
      UserError: If it has a scheme of no store, such as `s3a://`.
    """
    return names.is_object(path)


def is_temporary(name: str) -> bool:
    """Returns whether a file is a temporary file of `write_atomic`, left by a killed process."""
    return os.path.basename(name).startswith(_TEMPORARY)


def join(folder: str, *names: str) -> str:
    """Joins a folder and names to a path."""
    return '/'.join([folder.rstrip('/'), *names])


def exists(path: str) -> bool:
    """Returns whether a file or object exists."""
    return object_store.exists(path) if is_remote(path) else os.path.exists(path)


def size(path: str) -> int:
    """Returns a file's size in bytes.

    Raises:
      FileNotFoundError: If the file does not exist.
    """
    return object_store.size(path) if is_remote(path) else os.stat(path).st_size


def glob(pattern: str) -> list[str]:
    """Returns the sorted files that match a pattern; the path of a file matches only itself.

    So does the path of an existing local folder at the beginning of a pattern.
    """
    if exists(pattern):
        return [pattern]
    if not local_glob.has_magic(pattern):
        return []
    if is_remote(pattern):
        return object_store.glob(pattern)
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    literal = local_glob.escape(folder) + pattern[len(folder) :]
    return sorted(local_glob.glob(literal, recursive=True))


def glob_below(folder: str, pattern: str) -> list[str]:
    """Returns the sorted files of a folder that match a pattern; wildcards in its path are text."""
    return glob(join(local_glob.escape(folder), pattern))


def list_files(folder: str) -> list[str]:
    """Returns the sorted names of the files in a folder; empty if the folder does not exist."""
    if is_remote(folder):
        return object_store.list_files(folder)
    if not os.path.isdir(folder):
        return []
    return sorted(entry.name for entry in os.scandir(folder) if os.path.isfile(entry.path))


def list_names(folder: str) -> list[str]:
    """Returns the sorted names in a folder: files, and on a local disk folders too."""
    if is_remote(folder):
        return object_store.list_files(folder)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def read_bytes(path: str) -> bytes:
    """Reads a file.

    Raises:
      FileNotFoundError: If the file does not exist.
    """
    return object_store.read_bytes(path) if is_remote(path) else Path(path).read_bytes()


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file, or a FIFO without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


class _LocalReader:
    def __init__(self, path: str) -> None:
        self._file = open(  # noqa: SIM115  (closed by close)
            path, 'rb', buffering=0, opener=_open_at_once
        )
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.close()
            raise UserError(
                f'{path}: must be a file, got a FIFO or device, which cannot be read in parts; '
                'save its content as a file'
            )

    def read_at(self, offset: int, length: int) -> bytes:
        pieces = []
        with _with_path(self._file.name):
            while length > 0 and (piece := os.pread(self._file.fileno(), length, offset)):
                pieces.append(piece)
                offset += len(piece)
                length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """Opens a file for range reads.

    Raises:
      UserError: If it is a FIFO or a device.
    """
    reader: Reader = object_store.ObjectReader(path) if is_remote(path) else _LocalReader(path)
    try:
        yield reader
    finally:
        reader.close()


def read_pieces(
    paths: Mapping[int, str], pieces: Iterable[tuple[int, int, int]]
) -> Iterator[bytes]:
    """Yields pieces of local files, shorter at the end of a file.

    Takes half the time of `read_at` for many small pieces.

    Args:
      paths: The path of each file, by its number.
      pieces: (file number, offset, length) of each piece.
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
                with _with_path(paths[file]):
                    raise
            yield data


def prefetch(path: str, pieces: Iterable[tuple[int, int]]) -> None:
    """Advises the kernel to start reading pieces of a local file, each a (begin, end) in bytes."""
    if not hasattr(os, 'posix_fadvise'):
        return
    with open(path, 'rb', buffering=0) as file:
        for begin, end in pieces:
            for at in range(begin, end, _ADVICE_BYTES):
                os.posix_fadvise(
                    file.fileno(), at, min(end - at, _ADVICE_BYTES), os.POSIX_FADV_WILLNEED
                )


def sha256(path: str) -> str:
    """Computes the SHA-256 of a file, in hex, without holding the file in memory."""
    digest = hashlib.sha256()
    for piece in read_in_pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def read_in_pieces(path: str) -> Iterator[bytes]:
    """Yields the bytes of a file in order, at most 16 MiB at a time."""
    with open_reader(path) as reader:
        offset = 0
        while piece := reader.read_at(offset, _PIECE_BYTES):
            yield piece
            offset += len(piece)


@contextlib.contextmanager
def write_atomic(
    path: str, *, large: bool = False, synced: bool = True, private: bool = False
) -> Iterator[BinaryIO]:
    """Opens a temporary file, which is renamed to `path` if the block succeeds, else deleted.

    Args:
      path: The path of the file.
      large: Whether the file is large and is not read soon. Then written pages of a local file go
        to the disk while more is written, and are dropped from the page cache. The next file
        reuses their memory, at a seventh of the cost of fresh memory.
      synced: Whether to sync the file to the disk before the rename. False if a power failure may
        truncate it, or if the caller uses `sync` later.
      private: Whether only the owner may read a local file.
    """
    if is_remote(path):
        with (
            _with_path(f'{tempfile.gettempdir()}, for {path}'),
            tempfile.TemporaryFile() as file,
        ):
            yield file
            object_store.upload(path, file)
        return
    folder, name = os.path.split(path)
    make_folder(folder)
    temporary = os.path.join(folder, temporary_name(name))
    try:
        kind = _WriteBehindFile if large and hasattr(os, 'posix_fadvise') else io.FileIO
        opener = _create_private if private else _create
        with (
            _with_path(path),
            io.BufferedWriter(kind(temporary, 'wb', opener=opener)) as file,
        ):
            yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def temporary_name(name: str) -> str:
    """Returns a random name for a file or folder that is written before it gets its name."""
    return f'{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}-{name}'


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def _create_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o600)


class _WriteBehindFile(io.FileIO):
    """A file that the kernel starts to write to the disk while more is written to it."""

    _pending_bytes = 0

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._pending_bytes += written
        if self._pending_bytes >= _AHEAD_BYTES:
            self._start_writing()
        return written

    def close(self) -> None:
        if not self.closed:
            self._start_writing()
        super().close()

    def _start_writing(self) -> None:
        # Linux starts to write the pages that are not on the disk yet, and drops the others.
        os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._pending_bytes = 0


def sync(path: str) -> None:
    """Waits until a local file is on the disk. Does nothing for an object, which is durable.

    Raises:
      OSError: If the disk could not write it.
    """
    if not is_remote(path):
        with _with_path(path), open(path, 'rb') as file:
            os.fsync(file.fileno())


def write_bytes(path: str, data: bytes, *, synced: bool = True, private: bool = False) -> None:
    """Writes a file atomically; `synced` and `private` as in `write_atomic`."""
    with write_atomic(path, synced=synced, private=private) as file:
        file.write(data)


def make_folder(folder: str) -> None:
    """Makes a local folder and its parents, if they do not exist. Does nothing on an object store.

    Raises:
      UserError: If one of them exists as a file.
    """
    if is_remote(folder):
        return
    try:
        os.makedirs(folder or '.', exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f'{folder}: must be a folder, got a file; choose another name') from error


def make_private_folder(folder: str) -> None:
    """Makes a local folder, and its parents, that only its owner may read. Does nothing
    on an object store.

    Raises:
      UserError: If it exists as a link or a file, or belongs to another user.
    """
    if is_remote(folder):
        return
    with contextlib.suppress(FileExistsError):
        make_folder(os.path.dirname(folder))
        os.mkdir(folder, 0o700)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise UserError(f'{folder}: must be a folder, got a link or a file; delete it')
    if status.st_uid != os.getuid():
        raise UserError(f'{folder}: must belong to you, got another owner')
    os.chmod(folder, 0o700)


def check_writable(folder: str) -> None:
    """Checks that a folder is writable, by writing a file and deleting it.

    Raises:
      OSError: If the folder is not writable.
    """
    path = join(folder, f'{_TEMPORARY}check')
    write_bytes(path, b'')
    delete(path)


def rename(source: str, target: str) -> None:
    """Renames a file within the same storage. Replaces an existing target."""
    if is_remote(source):
        object_store.rename(source, target)
        return
    make_folder(os.path.dirname(target))
    os.replace(source, target)


def delete(path: str) -> None:
    """Deletes a file, if it exists."""
    if is_remote(path):
        object_store.delete(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def delete_folder(folder: str) -> None:
    """Deletes a folder and its contents, if it exists. Of a link, only the link."""
    if is_remote(folder):
        object_store.delete_folder(folder)
        return
    if os.path.islink(folder):
        os.unlink(folder)
        return
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


@contextlib.contextmanager
def _with_path(path: str) -> Iterator[None]:
    """Adds the path to a system error without one, such as a full disk or a bad block."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), path) from error
