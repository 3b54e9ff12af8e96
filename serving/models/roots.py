"""Where a client may take models from: beside those that the operator named.

A model is a program, and `HandleReloadConfigRequest` comes from whoever reaches the gRPC port. So
it may name only folders within the folders that hold the operator's models.
"""

import os
from collections.abc import Iterable


def root(base_path: str) -> str:
    """Returns the folder that holds a model; the model itself below the root or in a bucket."""
    path = _normalized(base_path)
    parent = path.rpartition('/')[0]
    is_top = parent in ('', 'gs:/')
    return path if is_top else parent


def is_within(base_path: str, roots: Iterable[str]) -> bool:
    """Returns whether a folder is one of the roots, or below one; links are followed."""
    path = _normalized(base_path)
    return any(path == root or path.startswith(f'{root}/') for root in roots)


def _normalized(path: str) -> str:
    if not path.startswith('gs://'):
        return os.path.realpath(path)
    parts = [part for part in path.removeprefix('gs://').split('/') if part not in ('', '.', '..')]
    return 'gs://' + '/'.join(parts)
