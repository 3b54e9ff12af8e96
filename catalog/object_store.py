"""Reads and writes `gs://` objects, with retries. Raises a store's errors as `OSError`.

Use `catalog.storage` instead, which calls this module. An object is uploaded with its checksum, and
becomes visible only when the upload is complete and the checksum matches: an interrupted upload
leaves no object. The client library honours `STORAGE_EMULATOR_HOST`.
"""

import base64
import contextlib
import errno
import functools
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c

from catalog.errors import UserError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket, Client

GS = 'gs://'

RETRY_SECONDS = 120.0  # longest time to retry requests that fail or get no response
FIRST_WAIT_SECONDS = 1.0  # longest wait before the first retry; doubles with each retry
BILLING_PROJECT = 'GS_BILLING_PROJECT'  # environment variable, which child processes inherit

REQUESTS_AT_ONCE = 8  # the client library's pool has ten connections

_CHUNK_BYTES = 32 << 20  # size of an upload request; the client library holds one in memory
_SENTENCE_LETTERS = 300
_COPY_BYTES = 1 << 20


def exists(path: str) -> bool:
    """Returns whether an object exists."""
    return _get(path) is not None


def size(path: str) -> int:
    """Returns an object's size in bytes.

    Raises:
      FileNotFoundError: If the object does not exist.
    """
    blob = _get(path)
    if blob is None:
        raise FileNotFoundError(errno.ENOENT, 'No such object', path)
    return int(blob.size or 0)


def glob(pattern: str) -> list[str]:
    """Returns the sorted objects that match a pattern. Unlike `*`, `**` matches subfolders."""
    bucket, name = split(pattern)
    prefix = re.split(r'[*?[]', name, maxsplit=1)[0]
    matches = re.compile(_regex(name)).fullmatch
    with _store_errors(pattern):
        blobs = _client().list_blobs(_bucket(pattern), prefix=prefix, retry=_retry())
        return sorted(f'{GS}{bucket}/{blob.name}' for blob in blobs if matches(blob.name))


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
    folder = folder.rstrip('/') + '/'
    _, prefix = split(folder)
    with _store_errors(folder):
        blobs = _client().list_blobs(_bucket(folder), prefix=prefix, delimiter='/', retry=_retry())
        return sorted(blob.name[len(prefix) :] for blob in blobs)


def read_bytes(path: str) -> bytes:
    """Reads an object.

    Raises:
      FileNotFoundError: If the object does not exist.
    """
    with _store_errors(path):
        data: bytes = _blob(path).download_as_bytes(retry=_retry())
    return data


class ObjectReader:
    """Reads ranges of an object, with one request per range."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._blob = _blob(path)

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns the bytes [offset, offset + length), fewer at the end of the object."""
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        if length <= 0:
            return b''
        last = offset + length - 1
        with _store_errors(self._path):
            try:
                data: bytes = self._blob.download_as_bytes(start=offset, end=last, retry=_retry())
            except RequestRangeNotSatisfiable:
                return b''
        return data

    def close(self) -> None:
        """Does nothing: the reader holds no resource."""


def upload(path: str, file: BinaryIO) -> None:
    """Uploads an open local file, from its first byte."""
    file_bytes = file.seek(0, os.SEEK_END)
    checksum = _crc32c(file)
    blob = _blob(path, chunk_bytes=_CHUNK_BYTES)
    with _store_errors(path):
        # An upload is idempotent, so it is retried after any transient error.
        blob.upload_from_file(
            file,
            rewind=True,
            size=file_bytes,
            checksum='crc32c',
            crc32c_checksum_value=checksum,
            retry=_retry(),
        )


def read_generation(path: str) -> tuple[bytes, int]:
    """Reads an object and its generation, which changes with every write.

    Raises:
      FileNotFoundError: If the object does not exist.
    """
    blob = _blob(path)
    with _store_errors(path):
        data: bytes = blob.download_as_bytes(retry=_retry())
    return data, int(blob.generation)


def write_generation(path: str, data: bytes, *, replaced: int, seconds: float) -> int | None:
    """Writes a small object if nobody else has written it. Unique data make this safe to retry.

    Args:
      path: The object.
      data: Its bytes.
      replaced: The generation that it must have now; 0 if it must not exist.
      seconds: Longest time to retry.

    Returns:
      The new generation, or None if the object has another generation.
    """
    from google.api_core.exceptions import PreconditionFailed

    blob = _blob(path)
    with _store_errors(path):
        try:
            retry = _retry().with_timeout(seconds)
            blob.upload_from_string(data, if_generation_match=replaced, retry=retry)
        except PreconditionFailed:
            pass
        else:
            return int(blob.generation)
    # The store may have written the data, but its response was lost.
    try:
        found, generation = read_generation(path)
    except FileNotFoundError:
        return None
    return generation if found == data else None


def rename(source: str, target: str) -> None:
    """Renames an object within its bucket: copies it within the store, then deletes the source."""
    blob = _blob(source)
    _, name = split(target)
    with _store_errors(source):
        blob.bucket.copy_blob(blob, blob.bucket, name, retry=_retry())
    delete(source)


def delete(path: str) -> None:
    """Deletes an object, if it exists."""
    with contextlib.suppress(FileNotFoundError), _store_errors(path):
        _blob(path).delete(retry=_retry())


def delete_generation(path: str, generation: int) -> None:
    """Deletes an object if it still has a generation."""
    from google.api_core.exceptions import PreconditionFailed

    with contextlib.suppress(FileNotFoundError, PreconditionFailed), _store_errors(path):
        _blob(path).delete(if_generation_match=generation, retry=_retry())


def delete_folder(folder: str) -> None:
    """Deletes all objects in a folder and its subfolders."""
    folder = folder.rstrip('/') + '/'
    bucket, prefix = split(folder)
    with _store_errors(folder):
        blobs = _client().list_blobs(_bucket(folder), prefix=prefix, retry=_retry())
        paths = [f'{GS}{bucket}/{blob.name}' for blob in blobs]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        list(pool.map(delete, paths))


def split(path: str) -> tuple[str, str]:
    """Splits `gs://bucket/folder/name` into ('bucket', 'folder/name').

    Raises:
      UserError: If a part is missing.
    """
    bucket, _, name = path.removeprefix(GS).partition('/')
    if not bucket or not name:
        raise UserError(f'an object must be named gs://BUCKET/NAME, got {path!r}')
    return bucket, name


@contextlib.contextmanager
def _store_errors(path: str) -> Iterator[None]:
    """Raises an error of the store or the network as an OSError with the path."""
    from google.api_core import exceptions as api
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption
    from requests.exceptions import RequestException

    try:
        yield
    except (api.RequestRangeNotSatisfiable, api.PreconditionFailed):
        raise
    except api.NotFound as error:
        raise FileNotFoundError(errno.ENOENT, 'No such object or bucket', path) from error
    except (api.Forbidden, api.Unauthorized) as error:
        text = f'The object store denied access, {_summary(error)}{_advice(error)}'
        raise PermissionError(errno.EACCES, text, path) from error
    except api.RetryError as error:
        last = _summary(error.cause or error)
        text = f'The object store failed for {RETRY_SECONDS:g} s, last error {last}'
        raise OSError(errno.EIO, text, path) from error
    except DataCorruption as error:
        text = "The downloaded data does not match the object store's checksum"
        raise OSError(errno.EIO, text, path) from error
    except (api.GoogleAPICallError, GoogleAuthError, RequestException) as error:
        text = f'The object store failed, {_summary(error)}{_advice(error)}'
        raise OSError(errno.EIO, text, path) from error


def _summary(error: BaseException) -> str:
    """Summarizes an error of the client library: the status and the store's own sentence."""
    code = getattr(getattr(error, 'response', None), 'status_code', None)
    code = code or getattr(error, 'code', None)
    if code:
        sentence = _sentence(error)
        return f'HTTP {int(code)}: {sentence}' if sentence else f'HTTP {int(code)}'
    return f'{type(error).__name__} ({" ".join(str(error).split())[:200]})'


def _sentence(error: BaseException) -> str:
    """Returns what the store says in the body of its response; empty if that is no text."""
    body = str(getattr(getattr(error, 'response', None), 'text', ''))
    with contextlib.suppress(ValueError, TypeError, LookupError, RecursionError):
        body = str(json.loads(body)['error']['message'])
    if not body.strip() or body.lstrip().startswith(('<', '{', '[')):  # HTML, XML, other JSON
        return ''
    printable = ''.join(letter if letter.isprintable() else ' ' for letter in body)
    return ' '.join(printable.split())[:_SENTENCE_LETTERS].rstrip('.')


def _advice(error: BaseException) -> str:
    if 'requester pays' not in _sentence(error).lower():
        return ''
    return '; --billing_project=PROJECT names the project that pays'


def _crc32c(file: BinaryIO) -> str:
    """Computes the checksum in the store's notation: CRC32C, big-endian, base64."""
    file.seek(0)
    checksum = google_crc32c.Checksum()
    while data := file.read(_COPY_BYTES):
        checksum.update(data)
    return base64.b64encode(checksum.digest()).decode()


@functools.cache
def _client_of(process: int, emulator: str | None) -> 'Client':
    del process  # part of the cache key: a forked child must not share its parent's client
    from google.cloud import storage

    return storage.Client.create_anonymous_client() if emulator else storage.Client()


def _client() -> 'Client':
    return _client_of(os.getpid(), os.environ.get('STORAGE_EMULATOR_HOST'))


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_delay(initial=FIRST_WAIT_SECONDS).with_timeout(RETRY_SECONDS)


def _bucket(path: str) -> 'Bucket':
    name = split(path)[0]  # a malformed path is an error before missing credentials are
    with _store_errors(path):
        return _client().bucket(name, user_project=os.environ.get(BILLING_PROJECT) or None)


def _get(path: str) -> 'Blob | None':
    with _store_errors(path):
        return _bucket(path).get_blob(split(path)[1], retry=_retry())


def _blob(path: str, *, chunk_bytes: int | None = None) -> 'Blob':
    return _bucket(path).blob(split(path)[1], chunk_size=chunk_bytes)
