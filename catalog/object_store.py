"""`gs://` objects: the client, its retries, and a store's refusals as the system's errors.

Behind `catalog.storage`, which everyone else calls. An object is uploaded with its checksum, and
the store gives it its name only when all of it has come and agrees: an upload that is cut off
leaves nothing. `STORAGE_EMULATOR_HOST` is honoured by the client library.
"""

import base64
import contextlib
import errno
import functools
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

RETRY_SECONDS = 120.0  # how long a store may answer "later", or not at all, before we give up
FIRST_WAIT_SECONDS = 1.0  # before a request is made again; at most, and twice that the next time
REQUESTS_AT_ONCE = 8  # the client library keeps ten connections

_CHUNK_BYTES = 32 << 20  # of an upload; the client library holds one in memory
_COPY_BYTES = 1 << 20


def exists(path: str) -> bool:
    """Whether there is such an object."""
    return _get(path) is not None


def size(path: str) -> int:
    """An object's size in bytes.

    Raises:
      FileNotFoundError: if there is no such object.
    """
    blob = _get(path)
    if blob is None:
        raise FileNotFoundError(errno.ENOENT, 'No such object', path)
    return int(blob.size or 0)


def glob(pattern: str) -> list[str]:
    """The objects that a pattern matches, sorted. `*` stays within a folder, `**` does not."""
    bucket, name = split(pattern)
    prefix = re.split(r'[*?[]', name, maxsplit=1)[0]
    matches = re.compile(_regex(name)).fullmatch
    with _refusals(pattern):
        blobs = _client().list_blobs(bucket, prefix=prefix, retry=_retry())
        return sorted(f'{GS}{bucket}/{blob.name}' for blob in blobs if matches(blob.name))


def _regex(pattern: str) -> str:
    """A pattern of names as a regular expression."""
    of = {'**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]'}
    parts = re.split(r'(\*\*/|\*\*|\*|\?|\[[^]/]+\])', pattern)
    return ''.join(
        of.get(part) or (part.replace('[!', '[^') if part[:1] == '[' else re.escape(part))
        for part in parts
    )


def list_files(folder: str) -> list[str]:
    """The names of the objects directly in a folder, sorted."""
    bucket, prefix = split(folder.rstrip('/') + '/')
    with _refusals(folder):
        blobs = _client().list_blobs(bucket, prefix=prefix, delimiter='/', retry=_retry())
        return sorted(blob.name[len(prefix) :] for blob in blobs)


def read_bytes(path: str) -> bytes:
    """The whole of an object.

    Raises:
      FileNotFoundError: if there is no such object.
    """
    with _refusals(path):
        data: bytes = _blob(path).download_as_bytes(retry=_retry())
    return data


class ObjectReader:
    """Reads an object by range, one request a range."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._blob = _blob(path)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end of the object."""
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        if length <= 0:
            return b''
        last = offset + length - 1
        with _refusals(self._path):
            try:
                data: bytes = self._blob.download_as_bytes(start=offset, end=last, retry=_retry())
            except RequestRangeNotSatisfiable:
                return b''
        return data

    def close(self) -> None:
        """Nothing is held."""


def upload(path: str, file: BinaryIO) -> None:
    """Makes a local file, from its first byte, an object."""
    file_bytes = file.seek(0, os.SEEK_END)
    checksum = _crc32c(file)
    blob = _blob(path, chunk_bytes=_CHUNK_BYTES)
    with _refusals(path):
        # Writing the same bytes again is harmless, so every failure that may pass is tried again.
        blob.upload_from_file(
            file,
            rewind=True,
            size=file_bytes,
            checksum='crc32c',
            crc32c_checksum_value=checksum,
            retry=_retry(),
        )


def rename(source: str, target: str) -> None:
    """Gives an object another name in its bucket: a copy within the store, then a delete."""
    blob = _blob(source)
    _, name = split(target)
    with _refusals(source):
        blob.bucket.copy_blob(blob, blob.bucket, name, retry=_retry())
    delete(source)


def delete(path: str) -> None:
    """Deletes an object; one that is not there is no error."""
    with contextlib.suppress(FileNotFoundError), _refusals(path):
        _blob(path).delete(retry=_retry())


def delete_folder(folder: str) -> None:
    """Deletes all objects whose names begin with the folder's."""
    bucket, prefix = split(folder.rstrip('/') + '/')
    with _refusals(folder):
        blobs = _client().list_blobs(bucket, prefix=prefix, retry=_retry())
        paths = [f'{GS}{bucket}/{blob.name}' for blob in blobs]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        list(pool.map(delete, paths))


def split(path: str) -> tuple[str, str]:
    """`gs://bucket/folder/name` -> ('bucket', 'folder/name').

    Raises:
      UserError: if a part is missing.
    """
    bucket, _, name = path.removeprefix(GS).partition('/')
    if not bucket or not name:
        raise UserError(f'an object is named gs://BUCKET/NAME, got {path!r}')
    return bucket, name


@contextlib.contextmanager
def _refusals(path: str) -> Iterator[None]:
    """Raises what a store or the way to it refuses as an OSError that names the path."""
    from google.api_core import exceptions as api
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption
    from requests.exceptions import RequestException

    try:
        yield
    except api.RequestRangeNotSatisfiable:
        raise
    except api.NotFound as error:
        raise FileNotFoundError(errno.ENOENT, 'No such object or bucket', path) from error
    except (api.Forbidden, api.Unauthorized) as error:
        raise PermissionError(errno.EACCES, f'The object store says {_say(error)}', path) from error
    except api.RetryError as error:
        why = _say(error.cause or error)
        text = f'The object store could not be used for {RETRY_SECONDS:g} s, last of all {why}'
        raise OSError(errno.EIO, text, path) from error
    except DataCorruption as error:
        text = 'What came has another checksum than the store says'
        raise OSError(errno.EIO, text, path) from error
    except (api.GoogleAPICallError, GoogleAuthError, RequestException) as error:
        raise OSError(errno.EIO, f'The object store failed, {_say(error)}', path) from error


def _say(error: BaseException) -> str:
    """An error of the client library in a few words."""
    code = getattr(getattr(error, 'response', None), 'status_code', None)
    code = code or getattr(error, 'code', None)
    if code:
        return f'HTTP {int(code)}'
    return f'{type(error).__name__} ({" ".join(str(error).split())[:200]})'


def _crc32c(file: BinaryIO) -> str:
    """The checksum as the store writes it: CRC32C, big-endian, base64."""
    file.seek(0)
    checksum = google_crc32c.Checksum()
    while data := file.read(_COPY_BYTES):
        checksum.update(data)
    return base64.b64encode(checksum.digest()).decode()


@functools.cache
def _client_of(process: int, emulator: str | None) -> 'Client':
    del process  # a client must not be shared with a forked child
    from google.cloud import storage

    return storage.Client.create_anonymous_client() if emulator else storage.Client()


def _client() -> 'Client':
    return _client_of(os.getpid(), os.environ.get('STORAGE_EMULATOR_HOST'))


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_delay(initial=FIRST_WAIT_SECONDS).with_timeout(RETRY_SECONDS)


def _bucket(path: str) -> 'Bucket':
    name = split(path)[0]  # before the client asks for credentials
    with _refusals(path):
        return _client().bucket(name)


def _get(path: str) -> 'Blob | None':
    with _refusals(path):
        return _bucket(path).get_blob(split(path)[1], retry=_retry())


def _blob(path: str, *, chunk_bytes: int | None = None) -> 'Blob':
    return _bucket(path).blob(split(path)[1], chunk_size=chunk_bytes)
