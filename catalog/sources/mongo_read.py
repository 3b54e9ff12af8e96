"""Reads a MongoDB collection in order of `_id`, and resumes after lost cursors and connections.

Knows no pictures: documents are the bytes that the server sent.
"""

import functools
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo import uri_parser as uris
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    CursorNotFound,
    OperationFailure,
    PyMongoError,
)

from catalog.errors import UserError
from catalog.formats import bson_document

Condition = Mapping[str, Any]  # on `_id`

# The fields that reading and fetching need; others stay on the server. Top-level fields only: for
# `imgs.picture` of a field that is not an array, a server returns the same as for a missing field.
_FIELDS = {'_id': 1, 'imgs': 1, 'category_id': 1}

_TRANSIENT = (AutoReconnect, CursorNotFound)
_ATTEMPTS = 5  # in a row, without a batch in between
_FIRST_WAIT_SECONDS = 0.25  # doubles with each attempt

_NO_SUCH_COLLECTION = 26  # the server's error code

# pymongo's defaults are 30 s to find a server and no limit for its response.
_TIMEOUTS = {
    'serverselectiontimeoutms': 10_000,
    'connecttimeoutms': 10_000,
    'sockettimeoutms': 120_000,
}


@dataclass(frozen=True)
class Address:
    """The address of a collection.

    Attributes:
      uri: Includes the user's name and password, so never print it.
      name: Hosts, database and collection, for messages.
      database: Name of the database.
      collection: Name of the collection.
    """

    uri: str = field(repr=False)
    name: str
    database: str
    collection: str


def parse_address(uri: str) -> Address:
    """Parses `mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE.COLLECTION[?OPTIONS]`.

    Raises:
      UserError: If the address is invalid. The library's message is included only where it cannot
        contain a password.
    """
    rule = 'must be mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE.COLLECTION'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            parts = uris.parse_uri(uri)
    except (ConfigurationError, Warning) as error:
        raise UserError(f'--input: {rule}, got: {error}') from error
    except (PyMongoError, ValueError) as error:
        raise UserError(
            f'--input: {rule}, user and password percent-encoded; got another mongodb address'
        ) from error
    hosts = ','.join(f'{host}:{port}' if port else str(host) for host, port in parts['nodelist'])
    name = f'mongodb://{hosts}/{parts["database"] or ""}'
    if not parts['database'] or not parts['collection']:
        raise UserError(f'--input: {rule}, got {name} without a collection')
    return Address(
        uri, f'{name}.{parts["collection"]}', str(parts['database']), str(parts['collection'])
    )


def collection_size(address: Address) -> tuple[int, int]:
    """Returns the number of documents and their size in bytes, as the server counts them."""
    with _user_errors(address):
        database = _client(address).get_database(address.database)
        try:
            stats = database.command('collStats', address.collection)
        except OperationFailure as error:
            if error.code != _NO_SUCH_COLLECTION:
                raise
            return 0, 0
    return int(stats.get('count', 0)), int(stats.get('size', 0))


def count_documents(address: Address, condition: Condition) -> int:
    """Returns the number of documents that meet the condition."""
    with _user_errors(address):
        return _collection(address).count_documents({'_id': dict(condition)})


def find_id(address: Address, condition: Condition, *, skip: int = 0, last: bool = False) -> Any:
    """Returns one `_id` that meets the condition, or None.

    The server walks its index and reads no document.

    Args:
      address: The collection.
      condition: Condition on `_id`.
      skip: Number of ids to skip.
      last: Whether to begin at the last id instead of the first.
    """
    with _user_errors(address):
        found = _collection(address).find(
            {'_id': dict(condition)}, {'_id': 1}, sort=[('_id', -1 if last else 1)], skip=skip
        )
        for fields in found.limit(1):
            return fields['_id']
    return None


def read_documents(
    address: Address, condition: Condition, *, skip: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """Yields the documents that meet the condition, in order of `_id`, as (data, start, end).

    A document is data[start:end]. `data` is one batch from the server, at most about 16 MB. After a
    lost cursor or connection, reading resumes after the last `_id` that was seen.
    """
    seen, last, attempts = skip, None, 0
    while True:
        try:
            for data in _batches(address, *_remaining(condition, seen, last)):
                attempts = 0
                for start, end in _bounds(data):
                    yield data, start, end
                    seen += 1
                last = document_id(data[start:end])
            return
        except _TRANSIENT as error:
            attempts += 1
            if attempts > _ATTEMPTS:
                raise _user_error(address, error) from error
            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (attempts - 1))
        except PyMongoError as error:
            raise _user_error(address, error) from error


def document_id(data: bytes) -> Any:
    """Returns the `_id` of a document, of any type."""
    return RawBSONDocument(data)['_id']


def _remaining(condition: Condition, seen: int, last: Any) -> tuple[dict[str, Any], int]:
    """Returns the condition of the documents left to read, and how many of these to skip."""
    if last is None or '$not' in condition:  # "greater" compares within one type only
        return dict(condition), seen
    return {**condition, '$gt': last}, 0


def _batches(address: Address, condition: Condition, skip: int) -> Iterator[bytes]:
    found = _collection(address).find_raw_batches(
        {'_id': dict(condition)}, _FIELDS, sort=[('_id', 1)], skip=skip
    )
    with found:
        for data in found:
            if data:
                yield data


def _bounds(data: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(data):
        end = start + bson_document.framed_length(data, start)
        yield start, end
        start = end


def _collection(address: Address) -> Collection:
    return _client(address).get_database(address.database).get_collection(address.collection)


def _client(address: Address) -> MongoClient:
    return _client_of(address.uri, os.getpid())


@functools.cache
def _client_of(uri: str, process: int) -> MongoClient:
    del process  # a client must not be shared with a forked child
    given = {name.lower() for name in uris.parse_uri(uri, warn=True)['options']}
    defaults: dict[str, Any] = {n: value for n, value in _TIMEOUTS.items() if n not in given}
    return MongoClient(uri, **defaults)


@contextmanager
def _user_errors(address: Address) -> Iterator[None]:
    """Turns the library's errors into one line that names the server."""
    try:
        yield
    except PyMongoError as error:
        raise _user_error(address, error) from error


def _user_error(address: Address, error: PyMongoError) -> UserError:
    message = str(error)
    if isinstance(error, OperationFailure) and error.details:
        message = str(error.details.get('errmsg', message))
    # The rest lists timeouts, and the state of every server.
    for tail in (' (configured timeouts', ', Timeout:'):
        message = message.split(tail)[0]
    return UserError(f'{address.name}: must respond, got: {" ".join(message.split())}')
