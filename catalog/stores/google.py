"""Reads and writes `gs://` objects by google-cloud-storage, which honours `STORAGE_EMULATOR_HOST`.

An object is uploaded with its checksum, and becomes visible only when the upload is complete and
the checksum matches.
"""

import base64
import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c

from catalog.stores import google_credentials, limits, names, sentences

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket, Client

BILLING_PROJECT = 'GS_BILLING_PROJECT'  # environment variable, which child processes inherit

_CHUNK_BYTES = 32 << 20  # size of an upload request; the client library holds one in memory
_COPY_BYTES = 1 << 20


def size(path: str) -> int:
    """Returns an object's size in bytes."""
    with _store_errors(path):
        blob = _bucket(path).get_blob(_name(path), retry=_retry())
    if blob is None:
        raise FileNotFoundError(errno.ENOENT, 'No such object', path)
    return int(blob.size or 0)


def iterate_names(path: str) -> Iterator[str]:
    """Yields the names of the objects whose path begins with a text."""
    with _store_errors(path):
        blobs = _client().list_blobs(_bucket(path), prefix=_name(path), retry=_retry())
        yield from (blob.name for blob in blobs)


def list_files(folder: str) -> list[str]:
    """Returns the sorted names of the objects in a folder, without its subfolders."""
    prefix = _name(folder)
    with _store_errors(folder):
        blobs = _client().list_blobs(_bucket(folder), prefix=prefix, delimiter='/', retry=_retry())
        return sorted(blob.name[len(prefix) :] for blob in blobs)


def read_bytes(path: str) -> bytes:
    """Reads an object."""
    with _store_errors(path):
        data: bytes = _blob(path).download_as_bytes(retry=_retry())
    return data


def read_range(path: str, offset: int, length: int) -> bytes:
    """Returns the bytes [offset, offset + length), fewer at the end of the object."""
    from google.api_core.exceptions import RequestRangeNotSatisfiable

    last = offset + length - 1
    with _store_errors(path):
        try:
            data: bytes = _blob(path).download_as_bytes(start=offset, end=last, retry=_retry())
        except RequestRangeNotSatisfiable:
            return b''
    return data


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


def read_generation(path: str) -> tuple[bytes, str]:
    """Reads an object and its generation."""
    blob = _blob(path)
    with _store_errors(path):
        data: bytes = blob.download_as_bytes(retry=_retry())
    return data, str(blob.generation)


def write_generation(path: str, data: bytes, *, replaced: str | None, seconds: float) -> str | None:
    """Writes an object if it has the generation `replaced`, or if it must not exist and does not.

    Returns:
      The new generation, or None if the store refused.
    """
    from google.api_core.exceptions import PreconditionFailed

    blob = _blob(path)
    with _store_errors(path):
        try:
            retry = _retry().with_timeout(seconds)
            blob.upload_from_string(data, if_generation_match=int(replaced or 0), retry=retry)
        except PreconditionFailed:
            return None
    return str(blob.generation)


def copy(source: str, name: str) -> None:
    """Copies an object within its bucket."""
    blob = _blob(source)
    with _store_errors(source):
        blob.bucket.copy_blob(blob, blob.bucket, name, retry=_retry())


def delete(path: str) -> None:
    """Deletes an object, if it exists."""
    with contextlib.suppress(FileNotFoundError), _store_errors(path):
        _blob(path).delete(retry=_retry())


def delete_generation(path: str, generation: str) -> None:
    """Deletes an object if it still has a generation."""
    from google.api_core.exceptions import PreconditionFailed

    with contextlib.suppress(FileNotFoundError, PreconditionFailed), _store_errors(path):
        _blob(path).delete(if_generation_match=int(generation), retry=_retry())


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
        text = f'The object store failed for {limits.RETRY_SECONDS:g} s, last error {last}'
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
    return sentences.from_body(str(getattr(getattr(error, 'response', None), 'text', '')))


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

    if emulator:
        return storage.Client.create_anonymous_client()
    found = google_credentials.find('gs://', scopes=storage.Client.SCOPE)
    return storage.Client(project=None, credentials=found)  # objects of a bucket need no project


def _client() -> 'Client':
    return _client_of(os.getpid(), os.environ.get('STORAGE_EMULATOR_HOST'))


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_delay(initial=limits.FIRST_WAIT_SECONDS).with_timeout(
        limits.RETRY_SECONDS
    )


def _name(path: str) -> str:
    return names.split(path)[2]


def _bucket(path: str) -> 'Bucket':
    _, name, _ = names.split(path)  # a malformed path is an error before missing credentials are
    with _store_errors(path):
        return _client().bucket(name, user_project=os.environ.get(BILLING_PROJECT) or None)


def _blob(path: str, *, chunk_bytes: int | None = None) -> 'Blob':
    return _bucket(path).blob(_name(path), chunk_size=chunk_bytes)
