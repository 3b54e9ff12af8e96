"""Temporary local copies of objects, and temporary files that become objects."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from catalog import object_store, storage


@contextlib.contextmanager
def copy_files(prefix: str) -> Iterator[str]:
    """Copies the objects `prefix.…`, such as the files of a checkpoint, for the block.

    Yields:
      The local path that takes the place of `prefix`.
    """
    folder, _, name = prefix.rpartition('/')
    names = [file for file in storage.list_files(folder) if file.startswith(f'{name}.')]
    with tempfile.TemporaryDirectory() as target:
        _download(folder, names, target)
        yield os.path.join(target, name)


@contextlib.contextmanager
def write_files(prefix: str) -> Iterator[str]:
    """Uploads the files `path.…` that the block writes as the objects `prefix.…`.

    Yields:
      The local path that takes the place of `prefix`.
    """
    folder, _, name = prefix.rpartition('/')
    with tempfile.TemporaryDirectory() as target:
        yield os.path.join(target, name)
        for file in sorted(os.listdir(target)):
            with open(os.path.join(target, file), 'rb') as content:
                object_store.upload(storage.join(folder, file), content)


def _download(folder: str, names: list[str], target: str) -> None:
    def download(name: str) -> None:
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.writelines(storage.read_in_pieces(storage.join(folder, name)))

    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        list(pool.map(download, names))
