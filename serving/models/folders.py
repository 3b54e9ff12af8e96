"""The version folders of a base path, local or remote."""

from dataclasses import dataclass, field

import tensorflow as tf

from catalog.model_versions import names as version_names

Fingerprint = list[tuple[str, int, int]]  # (file, size in bytes, mtime in ns) of a version folder


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
    numbers = {
        name: version_names.read_version(name)
        for name in sorted(names)
        if version_names.is_number(name)
    }
    return Folders(
        versions={
            version: f'{base_path}/{name}'
            for name, version in numbers.items()
            if version is not None
        },
        too_large=frozenset(
            f'{base_path}/{name}' for name, version in numbers.items() if version is None
        ),
    )


def fingerprint(folder: str) -> Fingerprint:
    """Returns what changes when a file of a folder is written, added or removed."""
    files = [f'{parent}/{name}' for parent, _, names in tf.io.gfile.walk(folder) for name in names]
    stats = [(file, tf.io.gfile.stat(file)) for file in sorted(files)]
    return [(file, stat.length, stat.mtime_nsec) for file, stat in stats]
