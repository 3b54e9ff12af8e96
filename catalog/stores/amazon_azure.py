"""Reads and writes `s3://` and `az://` objects by obstore.

Accounts, credentials and endpoints come from the environment variables of the stores' own tools:
`AWS_…` (`AWS_ENDPOINT_URL` for stores with Amazon's protocol elsewhere) and `AZURE_STORAGE_…`. A
large object is uploaded in parts and becomes visible when the store has put them together.
"""

import contextlib
import datetime
import errno
import functools
import os
import re
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

from catalog.errors import UserError
from catalog.stores import limits, names, sentences

_PART_BYTES = 16 << 20  # Amazon takes 10,000 parts, so an object may have 160 GB
_PARTS_AT_ONCE = 4  # held in memory
_REQUEST_SECONDS = 120
_LONGEST_WAIT_SECONDS = 15.0
_BEYOND_END = re.compile(r'status code: 416|Wanted range starting at')
_STATUS = re.compile(r'status code: (\d{3})[^:]*(?:: (.*))?', re.DOTALL)


def load(path: str) -> Any:
    """Returns the library obstore, an extra, for a path.

    Raises:
      UserError: If it is not installed.
    """
    try:
        import obstore
        import obstore.exceptions
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: needs the package obstore; install it with pip install '.[buckets]'"
        ) from error
    return obstore


def size(path: str) -> int:
    """Returns an object's size in bytes."""
    obstore = load(path)
    with _store_errors(path):
        return int(obstore.head(_store(path), _name(path))['size'])


def iterate_names(path: str) -> Iterator[str]:
    """Yields the names of the objects whose path begins with a text."""
    obstore = load(path)
    prefix = _name(path)
    folder = prefix.rpartition('/')[0]  # obstore lists folders, not beginnings of names
    with _store_errors(path):
        for found in obstore.list(_store(path), folder or None):
            yield from (item['path'] for item in found if item['path'].startswith(prefix))


def list_files(folder: str) -> list[str]:
    """Returns the sorted names of the objects in a folder, without its subfolders."""
    obstore = load(folder)
    prefix = _name(folder)
    with _store_errors(folder):
        found = obstore.list_with_delimiter(_store(folder), prefix)['objects']
    paths = [item['path'] for item in found]
    return sorted(path.removeprefix(prefix) for path in paths if path.startswith(prefix))


def read_bytes(path: str) -> bytes:
    """Reads an object."""
    return read_generation(path)[0]


def read_range(path: str, offset: int, length: int) -> bytes:
    """Returns the bytes [offset, offset + length), fewer at the end of the object."""
    obstore = load(path)
    with _store_errors(path):
        try:
            data = obstore.get_range(_store(path), _name(path), start=offset, length=length)
        except obstore.exceptions.BaseError as error:
            if _BEYOND_END.search(str(error)):
                return b''
            raise
    return bytes(data)


def upload(path: str, file: BinaryIO) -> None:
    """Uploads an open local file, from its first byte."""
    obstore = load(path)
    file.seek(0)
    with _store_errors(path):
        obstore.put(
            _store(path),
            _name(path),
            file,
            chunk_size=_PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )


def read_generation(path: str) -> tuple[bytes, str]:
    """Reads an object and its entity tag."""
    obstore = load(path)
    with _store_errors(path):
        found = obstore.get(_store(path), _name(path))
        return bytes(found.bytes()), str(found.meta['e_tag'])


def write_generation(path: str, data: bytes, *, replaced: str | None, seconds: float) -> str | None:
    """Writes an object if it has the tag `replaced`, or if it must not exist and does not.

    Returns:
      The new tag, or None if the store refused.
    """
    obstore = load(path)
    exceptions = obstore.exceptions
    store = _store(path, seconds=seconds)
    with _store_errors(path):
        try:
            written = obstore.put(
                store, _name(path), data, mode={'e_tag': replaced} if replaced else 'create'
            )
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            return None
        except FileNotFoundError:
            if replaced:  # the object was deleted
                return None
            raise  # there is no such bucket
    return str(written['e_tag'])


def copy(source: str, name: str) -> None:
    """Copies an object within its bucket."""
    obstore = load(source)
    with _store_errors(source):
        obstore.copy(_store(source), _name(source), name)


def delete(path: str) -> None:
    """Deletes an object, if it exists."""
    obstore = load(path)
    with contextlib.suppress(FileNotFoundError), _store_errors(path):
        obstore.delete(_store(path), _name(path))


def delete_generation(path: str, generation: str) -> None:
    """Deletes an object if it still has a tag.

    obstore does not delete on a condition. It writes on one, and nobody else writes an object that
    was written just now (`object_lease`).
    """
    mine = f'released {uuid.uuid4()}'.encode()
    if write_generation(path, mine, replaced=generation, seconds=limits.RETRY_SECONDS):
        delete(path)


@contextlib.contextmanager
def _store_errors(path: str) -> Iterator[None]:
    """Raises an error of the store or the network as an OSError with the path."""
    exceptions = load(path).exceptions
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, 'No such object or bucket', path) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        text = f'The object store denied access, {_summary(error)}'
        raise PermissionError(errno.EACCES, text, path) from error
    except exceptions.BaseError as error:
        retried = re.search(r'after \d+ retries', str(error))
        when = f' for {limits.RETRY_SECONDS:g} s, last error' if retried else ','
        text = f'The object store failed{when} {_summary(error)}'
        raise OSError(errno.EIO, text, path) from error


def _summary(error: BaseException) -> str:
    """Summarizes an error of obstore: the status and the store's own sentence."""
    message = str(error).split('\n\nDebug source')[0]
    if status := _STATUS.search(message):
        sentence = sentences.from_body(status[2] or '')
        return f'HTTP {status[1]}: {sentence}' if sentence else f'HTTP {status[1]}'
    return ' '.join(message.split(' - ')[-1].split())[:200]


def _store(path: str, *, seconds: float | None = None) -> Any:
    scheme, bucket, _ = names.split(path)
    return _store_of(
        os.getpid(),
        scheme,
        bucket,
        seconds or limits.RETRY_SECONDS,
        limits.FIRST_WAIT_SECONDS,
        tuple(os.environ.get(name) for name in ('AWS_ENDPOINT_URL', 'AZURE_STORAGE_ENDPOINT')),
    )


@functools.cache
def _store_of(
    process: int,
    scheme: str,
    bucket: str,
    retry_seconds: float,
    first_wait_seconds: float,
    endpoints: tuple[str | None, ...],
) -> Any:
    del process, endpoints  # parts of the cache key; obstore reads the environment
    from obstore.store import AzureStore, S3Store

    kind = S3Store if scheme == names.S3 else AzureStore
    return kind(
        bucket,
        client_options={'allow_http': True, 'timeout': f'{_REQUEST_SECONDS}s'},
        retry_config={
            'max_retries': 1 << 30,  # the time limits them
            'retry_timeout': datetime.timedelta(seconds=retry_seconds),
            'backoff': {
                'init_backoff': datetime.timedelta(seconds=first_wait_seconds),
                'max_backoff': datetime.timedelta(seconds=_LONGEST_WAIT_SECONDS),
                'base': 2,
            },
        },
    )


def _name(path: str) -> str:
    return names.split(path)[2]
