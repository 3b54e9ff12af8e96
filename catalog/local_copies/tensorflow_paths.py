"""Which paths TensorFlow itself opens, and how the others are read and written.

TensorFlow opens local files and `gs://`; with tensorflow-io, which docs/adr explains, also `s3://`.
"""

import contextlib
import importlib.util
from collections.abc import Iterator

from catalog.errors import UserError
from catalog.local_copies import temporary

_EXTENSION = 'tensorflow_io'


def are_opened(path: str) -> bool:
    """Returns whether TensorFlow opens the files of a folder itself."""
    if path.startswith('s3://'):  # trainer.startup loads the extension where it is installed
        return importlib.util.find_spec(_EXTENSION) is not None
    return not path.startswith('az://')


def check_opened(path: str, *, flag: str) -> None:
    """Checks that TensorFlow can write to a folder itself.

    Raises:
      UserError: If not.
    """
    if not are_opened(path):
        raise UserError(
            f'{path}: --{flag} must be a local folder or begin with gs://, because TensorFlow '
            'writes checkpoints and events there itself; with tensorflow-io it may also begin with '
            's3:// (docs/buckets.md)'
        )


@contextlib.contextmanager
def readable(prefix: str) -> Iterator[str]:
    """Yields a path from which TensorFlow reads the files `prefix.…`, for the block."""
    if are_opened(prefix):
        yield prefix
        return
    with temporary.copy_files(prefix) as copied:
        yield copied


@contextlib.contextmanager
def writable(prefix: str) -> Iterator[str]:
    """Yields a path to which TensorFlow writes the files `prefix.…`, which are then uploaded."""
    if are_opened(prefix):
        yield prefix
        return
    with temporary.write_files(prefix) as written:
        yield written
