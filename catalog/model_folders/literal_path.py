"""Paths for TensorFlow's readers of checkpoints and models, which take a path for a pattern.

A reader of `a [b]/ckpt-00000010` finds no file, and one of `a*/ckpt-00000010` may find another one.
"""

import contextlib
import os
from collections.abc import Iterator

from catalog import storage
from catalog.errors import UserError
from catalog.local_copies import tensorflow_paths

_WILDCARDS = frozenset('*?[]\\')
_DESCRIPTORS = '/proc/self/fd'


def has_wildcards(path: str) -> bool:
    """Returns whether TensorFlow may read something else than this path."""
    return bool(_WILDCARDS & set(path))


def check_readable(path: str) -> None:
    """Checks that `literal_path` can help TensorFlow to read from a folder.

    Raises:
      UserError: If it cannot.
    """
    if has_wildcards(path) and (storage.is_remote(path) or not os.path.isdir(_DESCRIPTORS)):
        place = 'on an object store' if storage.is_remote(path) else 'on this system'
        raise UserError(
            f'{path}: must have none of the characters *?[]\\ {place}, because TensorFlow reads '
            'it as a pattern; choose another folder'
        )


@contextlib.contextmanager
def literal_path(path: str) -> Iterator[str]:
    """Yields another path of a file or folder, which holds no wildcards, for the block.

    Files on an object store that TensorFlow cannot read are copied for the block.

    Linux names an open folder by the number of its descriptor. The name of the file itself, the
    last part of the path, must have no wildcards.

    Raises:
      UserError: If there is no such path.
    """
    if not has_wildcards(path):
        with tensorflow_paths.readable(path) as readable:
            yield readable
        return
    check_readable(path)
    folder, name = os.path.split(path.rstrip('/'))
    descriptor = os.open(folder or '.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f'{_DESCRIPTORS}/{descriptor}/{name}'
    finally:
        os.close(descriptor)
