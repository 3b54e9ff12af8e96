"""Folders that appear whole or not at all: written under a temporary name beside, then renamed.

The temporary name starts with a dot and is no number, so that a TensorFlow Serving that watches the
parent folder for versions does not see it.
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
    """A folder to write into, which gets its name when the block ends well.

    Raises:
      UserError: if `path` exists, also if it comes to exist meanwhile, or is on an object store.
    """
    target = _local(path)
    if target.exists():
        raise _taken(path)
    with _partial(target) as partial:
        yield partial
        try:
            partial.rename(target)
        except OSError as error:
            if target.exists():
                raise _taken(path) from error
            raise


@contextlib.contextmanager
def replace(path: str, *, files: frozenset[str]) -> Iterator[Path]:
    """Like `create`, but replaces a folder that holds nothing except `files`.

    Raises:
      UserError: if `path` holds anything else, or is on an object store.
    """
    target = _local(path)
    if target.exists():
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


def _taken(path: str) -> UserError:
    return UserError(f'{path}: must not exist yet, got an existing one; choose another name')


def _check_replaceable(target: Path, *, files: frozenset[str]) -> None:
    if not target.is_dir():
        raise UserError(f'{target}: must be a folder, got a file')
    others = sorted({entry.name for entry in target.iterdir()} - files)
    if others:
        raise UserError(
            f'{target}: must be new, or hold only {", ".join(sorted(files))}, '
            f'got {others[0]}; choose another folder'
        )


def _local(path: str) -> Path:
    if storage.is_remote(path):
        raise UserError(f'{path}: must be a local folder; copy it to the object store afterwards')
    return Path(os.path.abspath(path))


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    partial = target.with_name(f'.partial-{os.getpid()}-{target.name}')
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(partial)
