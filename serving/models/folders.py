"""The version folders of a base path, local or remote."""

import re
from dataclasses import dataclass, field

import tensorflow as tf

from serving.models.spec import MAX_VERSION

Fingerprint = list[tuple[str, int, int]]  # (file, size in bytes, mtime in ns) of a version folder

_DIGITS = re.compile('[0-9]+')


@dataclass(frozen=True)
class Folders:
    """The folders whose name is a number.

    Attributes:
      versions: The path of each version.
      too_large: The paths of the folders whose number is no int64, which are skipped.
    """

    versions: dict[int, str] = field(default_factory=dict)
    too_large: frozenset[str] = frozenset()


def find(base_path: str) -> Folders:
    """Lists a base path.

    Raises:
      tf.errors.OpError: If the folder cannot be listed.
    """
    names = [name.rstrip('/') for name in tf.io.gfile.listdir(base_path)]
    numbers = [name for name in names if _DIGITS.fullmatch(name)]
    valid = {name for name in numbers if _is_int64(name)}
    return Folders(
        versions={int(name): f'{base_path}/{name}' for name in sorted(valid)},
        too_large=frozenset(f'{base_path}/{name}' for name in numbers if name not in valid),
    )


def fingerprint(folder: str) -> Fingerprint:
    """Returns what changes when a file of a folder is written, added or removed."""
    files = [f'{parent}/{name}' for parent, _, names in tf.io.gfile.walk(folder) for name in names]
    stats = [(file, tf.io.gfile.stat(file)) for file in sorted(files)]
    return [(file, stat.length, stat.mtime_nsec) for file, stat in stats]


def _is_int64(name: str) -> bool:
    # The length first: Python refuses to convert thousands of digits.
    digits = name.lstrip('0') or '0'
    return len(digits) < 20 and int(digits) <= MAX_VERSION
