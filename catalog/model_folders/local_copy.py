"""Copies a version folder from an object store, because runtimes read local files."""

import atexit
import os
import shutil
import tempfile

from catalog import storage
from catalog.digests import folder as digests


def local_path(path: str) -> str:
    """Returns a local version folder, or a local copy that exists until this process ends."""
    if not storage.is_remote(path):
        return path
    copy = tempfile.mkdtemp(prefix='model-')
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for name in digests.list_files(path):
        storage.write_bytes(os.path.join(copy, name), storage.read_bytes(storage.join(path, name)))
    return copy
