"""Reads and writes objects of any store, `gs://`, `s3://` or `az://`, with retries.

Use `catalog.storage` instead, which calls this module. An object becomes visible only when its
upload is complete: an interrupted upload leaves no object. A store's errors are `OSError`.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Protocol

from catalog.stores import amazon_azure, google, names

SCHEMES = names.SCHEMES
BILLING_PROJECT = google.BILLING_PROJECT

REQUESTS_AT_ONCE = 8  # the pool of Google's client has ten connections


class _Store(Protocol):
    """What a module of `catalog.stores` has. Paths are complete, with their scheme."""

    def size(self, path: str) -> int: ...

    def iterate_names(self, path: str) -> Iterator[str]: ...

    def list_files(self, folder: str) -> list[str]: ...

    def read_bytes(self, path: str) -> bytes: ...

    def read_range(self, path: str, offset: int, length: int) -> bytes: ...

    def upload(self, path: str, file: BinaryIO) -> None: ...

    def read_generation(self, path: str) -> tuple[bytes, str]: ...

    def write_generation(
        self, path: str, data: bytes, *, replaced: str | None, seconds: float
    ) -> str | None: ...

    def delete_generation(self, path: str, generation: str) -> None: ...

    def copy(self, source: str, name: str) -> None: ...

    def delete(self, path: str) -> None: ...


def _store(path: str) -> _Store:
    return google if path.startswith(names.GS) else amazon_azure


def check_available(path: str) -> None:
    """Checks that the library for a path's scheme is installed.

    Raises:
      UserError: If it is not.
    """
    if not path.startswith(names.GS):
        amazon_azure.load(path)


def exists(path: str) -> bool:
    """Returns whether an object exists."""
    try:
        size(path)
    except FileNotFoundError:
        return False
    return True


def size(path: str) -> int:
    """Returns an object's size in bytes.

    Raises:
      FileNotFoundError: If the object does not exist.
    """
    return _store(path).size(path)


def glob(pattern: str) -> list[str]:
    """Returns the sorted objects that match a pattern. Unlike `*`, `**` matches subfolders."""
    scheme, bucket, name = names.split(pattern)
    matches = re.compile(_regex(name)).fullmatch
    fixed = re.split(r'[*?[]', pattern, maxsplit=1)[0]
    found = filter(matches, _store(pattern).iterate_names(fixed))
    return sorted(f'{scheme}{bucket}/{name}' for name in found)


def _regex(pattern: str) -> str:
    """Translates a pattern of names to a regular expression."""
    wildcards = {'**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]'}
    parts = re.split(r'(\*\*/|\*\*|\*|\?|\[[^]/]+\])', pattern)
    return ''.join(
        wildcards.get(part) or (part.replace('[!', '[^') if part[:1] == '[' else re.escape(part))
        for part in parts
    )


def list_files(folder: str) -> list[str]:
    """Returns the sorted names of the objects in a folder, without its subfolders."""
    return _store(folder).list_files(folder.rstrip('/') + '/')


def read_bytes(path: str) -> bytes:
    """Reads an object.

    Raises:
      FileNotFoundError: If the object does not exist.
    """
    return _store(path).read_bytes(path)


class ObjectReader:
    """Reads ranges of an object, with one request per range."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns the bytes [offset, offset + length), fewer at the end of the object."""
        if length <= 0:
            return b''
        return _store(self._path).read_range(self._path, offset, length)

    def close(self) -> None:
        """Does nothing: the reader holds no resource."""


def upload(path: str, file: BinaryIO) -> None:
    """Uploads an open local file, from its first byte."""
    _store(path).upload(path, file)


def read_generation(path: str) -> tuple[bytes, str]:
    """Reads an object and its generation, which changes when other bytes are written.

    Raises:
      FileNotFoundError: If the object does not exist.
    """
    return _store(path).read_generation(path)


def write_generation(path: str, data: bytes, *, replaced: str | None, seconds: float) -> str | None:
    """Writes a small object if nobody else has written it. Unique data make this safe to retry.

    Args:
      path: The object.
      data: Its bytes.
      replaced: The generation that it must have now; None if it must not exist.
      seconds: Longest time to retry.

    Returns:
      The new generation, or None if the object has another generation.
    """
    store = _store(path)
    generation = store.write_generation(path, data, replaced=replaced, seconds=seconds)
    if generation is not None:
        return generation
    # The store may have written the data, but its response was lost.
    try:
        found, generation = store.read_generation(path)
    except FileNotFoundError:
        return None
    return generation if found == data else None


def rename(source: str, target: str) -> None:
    """Renames an object within its bucket: copies it within the store, then deletes the source."""
    _, _, name = names.split(target)
    _store(source).copy(source, name)
    delete(source)


def delete(path: str) -> None:
    """Deletes an object, if it exists."""
    _store(path).delete(path)


def delete_generation(path: str, generation: str) -> None:
    """Deletes an object if it still has a generation."""
    _store(path).delete_generation(path, generation)


def delete_folder(folder: str) -> None:
    """Deletes all objects in a folder and its subfolders."""
    folder = folder.rstrip('/') + '/'
    scheme, bucket, _ = names.split(folder)
    paths = [f'{scheme}{bucket}/{name}' for name in _store(folder).iterate_names(folder)]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        list(pool.map(delete, paths))
