"""Publishes folders atomically: writes under a temporary name in the same parent, then renames.

The temporary name starts with a dot and is not a number, so that TensorFlow Serving, which watches
the parent folder for version numbers, ignores it.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from catalog import storage
from catalog.errors import UserError


@contextlib.contextmanager
def create(path: str) -> Iterator[Path]:
    """Yields a folder to write into, and renames it to `path` when the block succeeds.

    Raises:
      UserError: If `path` exists before or after the block, or is on an object store.
    """
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
def replace(path: str, *, files: frozenset[str]) -> Iterator[Path]:
    """Like `create`, but replaces a folder that holds only `files`.

    Raises:
      UserError: If `path` holds anything else, or is on an object store.
    """
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
    others = sorted({entry.name for entry in target.iterdir()} - files)
    if others:
        raise UserError(
            f'{target}: must be new, or contain only {", ".join(sorted(files))}, '
            f'got {others[0]}; choose another folder'
        )


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
