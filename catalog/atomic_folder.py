"""Publishes folders atomically: writes under a temporary name in the same parent, then renames.

The temporary name starts with a dot and is not a number, so that TensorFlow Serving, which watches
the parent folder for version numbers, ignores it.

An object store has no folders that could be renamed. There the folder is written to a local
temporary folder, then uploaded; the file that makes it complete is uploaded last, and deleted first
when the folder is replaced. Readers must require this file.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from catalog import object_store, storage
from catalog.errors import UserError


@contextlib.contextmanager
def create(path: str, *, last: str | None = None) -> Iterator[Path]:
    """Yields a folder to write into, and renames it to `path` when the block succeeds.

    Args:
      path: A folder that does not exist.
      last: Name of the file that makes the folder complete, where no folder can be renamed; None if
        there is no such file.

    Raises:
      UserError: If `path` exists before or after the block, or is on an object store and has no
        file that makes it complete.
    """
    if storage.is_remote(path) and last:
        _check_no_objects(path)
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            _check_no_objects(path)
            _upload(Path(folder), path, last=last)
        return
    target = check_absent(path)
    with _partial(target) as partial:
        yield partial
        try:
            partial.rename(target)
        except OSError as error:
            if os.path.lexists(target):
                raise _exists_error(path) from error
            raise


def check_absent(path: str) -> Path:
    """Returns the absolute path of a folder that `create` can write.

    Raises:
      UserError: If `path` exists, or is on an object store.
    """
    target = _local(path)
    if os.path.lexists(target):
        raise _exists_error(path)
    return target


@contextlib.contextmanager
def replace(path: str, *, files: frozenset[str], last: str | None = None) -> Iterator[Path]:
    """Like `create`, but replaces a folder that holds only `files`.

    Raises:
      UserError: If `path` holds anything else, or is on an object store and has no file that makes
        it complete.
    """
    if storage.is_remote(path) and last:
        _check_only(_object_names(path), files=files, path=path)
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            storage.delete(storage.join(path, last))
            _upload(Path(folder), path, last=last)
            for name in set(_object_names(path)) - set(_names(Path(folder))):
                storage.delete(storage.join(path, name))
        return
    target = _local(path)
    if os.path.lexists(target):
        _check_replaceable(target, files=files)
    with _partial(target) as partial:
        yield partial
        if not target.exists():
            partial.rename(target)
            return
        old = target.with_name(f'{partial.name}-old')
        target.rename(old)
        partial.rename(target)
        shutil.rmtree(old)


def _exists_error(path: str) -> UserError:
    return UserError(f'{path}: must not exist yet, but it does; choose another name')


def _check_replaceable(target: Path, *, files: frozenset[str]) -> None:
    if target.is_symlink() or not target.is_dir():
        raise UserError(f'{target}: must be a folder, got a file or a link')
    _check_only([entry.name for entry in target.iterdir()], files=files, path=str(target))


def _check_only(names: Iterable[str], *, files: frozenset[str], path: str) -> None:
    others = sorted(set(names) - files)
    if others:
        raise UserError(
            f'{path}: must be new, or contain only {", ".join(sorted(files))}, '
            f'got {others[0]}; choose another folder'
        )


def _object_names(path: str) -> list[str]:
    """Returns the name of each object below a folder, relative to it."""
    prefix = storage.join(path, '')
    return [found.removeprefix(prefix) for found in storage.glob_below(path, '**')]


def _check_no_objects(path: str) -> None:
    if _object_names(path):
        raise _exists_error(path)


def _names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()]


def _upload(folder: Path, path: str, *, last: str) -> None:
    """Uploads the files of a folder, the last one when all others are there; or none of them."""
    names = [name for name in _names(folder) if name != last]

    def upload(name: str) -> None:
        with (folder / name).open('rb') as file:
            object_store.upload(storage.join(path, name), file)

    try:
        with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
            list(pool.map(upload, names))
        upload(last)
    except BaseException:
        for name in (last, *names):
            with contextlib.suppress(OSError):
                storage.delete(storage.join(path, name))
        raise


def _local(path: str) -> Path:
    if storage.is_remote(path):
        raise UserError(f'{path}: must be a local folder; copy it to the object store afterwards')
    return Path(os.path.abspath(path))


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    storage.make_folder(str(target.parent))
    partial = target.with_name(storage.temporary_name(target.name))
    partial.mkdir()
    try:
        yield partial
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(partial)
