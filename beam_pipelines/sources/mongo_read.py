"""Reads a MongoDB collection in order of `_id`, over lost cursors and connections.

Knows no pictures: documents leave as the bytes that the server sent.
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

# What a range and a fetch need; a shop's other fields stay on the server. Whole top-level fields:
# a server picks `imgs.picture` out of a field that is no array as if it were missing.
_FIELDS = {'_id': 1, 'imgs': 1, 'category_id': 1}

_PASSING = (AutoReconnect, CursorNotFound)
_ATTEMPTS = 5  # without one batch in between
_FIRST_WAIT_SECONDS = 0.25  # doubles with each attempt

_NO_SUCH_COLLECTION = 26  # the server's error code

# Against pymongo's own: half a minute to find a server, for ever to hear from it.
_TIMEOUTS = {
    'serverselectiontimeoutms': 10_000,
    'connecttimeoutms': 10_000,
    'sockettimeoutms': 120_000,
}


@dataclass(frozen=True)
class Address:
    """Where a collection is.

    Attributes:
      uri: with the user's name and password: never to be shown.
      name: hosts, database and collection, for people.
      database: its name.
      collection: its name.
    """

    uri: str = field(repr=False)
    name: str
    database: str
    collection: str


def parse(uri: str) -> Address:
    """The address in `mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE.COLLECTION[?OPTIONS]`.

    Raises:
      UserError: if it is none. What the library says is passed on only where it can hold no
        password.
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


def size(address: Address) -> tuple[int, int]:
    """The collection's documents and their bytes, as the server counts them."""
    with _telling(address):
        database = _client(address).get_database(address.database)
        try:
            stats = database.command('collStats', address.collection)
        except OperationFailure as error:
            if error.code != _NO_SUCH_COLLECTION:
                raise
            return 0, 0
    return int(stats.get('count', 0)), int(stats.get('size', 0))


def count(address: Address, condition: Condition) -> int:
    """How many documents meet the condition."""
    with _telling(address):
        return _collection(address).count_documents({'_id': dict(condition)})


def one_id(address: Address, condition: Condition, *, skip: int = 0, last: bool = False) -> Any:
    """One `_id` that meets the condition, the first or the last but `skip`; None if there is none.

    The server walks its index and touches no document.
    """
    with _telling(address):
        found = _collection(address).find(
            {'_id': dict(condition)}, {'_id': 1}, sort=[('_id', -1 if last else 1)], skip=skip
        )
        for fields in found.limit(1):
            return fields['_id']
    return None


def documents(
    address: Address, condition: Condition, *, skip: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """The documents that meet the condition, in order of `_id`: (data, start, end).

    A document is data[start:end]; `data` is what the server sent at once, at most about 16 MB.
    A lost cursor or connection is taken up after the last `_id` that was seen.
    """
    seen, last, attempts = skip, None, 0
    while True:
        try:
            for data in _batches(address, *_left(condition, seen, last)):
                attempts = 0
                for start, end in _bounds(data):
                    yield data, start, end
                    seen += 1
                last = id_of(data[start:end])
            return
        except _PASSING as error:
            attempts += 1
            if attempts > _ATTEMPTS:
                raise _told(address, error) from error
            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (attempts - 1))
        except PyMongoError as error:
            raise _told(address, error) from error


def id_of(data: bytes) -> Any:
    """The `_id` of a document, whatever its type."""
    return RawBSONDocument(data)['_id']


def _left(condition: Condition, seen: int, last: Any) -> tuple[dict[str, Any], int]:
    """What is still to be read: a condition, and how many documents to pass over."""
    if last is None or '$not' in condition:  # "greater" is only within one type
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
def _telling(address: Address) -> Iterator[None]:
    """Tells the library's errors in one line that names the server."""
    try:
        yield
    except PyMongoError as error:
        raise _told(address, error) from error


def _told(address: Address, error: PyMongoError) -> UserError:
    what = str(error)
    if isinstance(error, OperationFailure) and error.details:
        what = str(error.details.get('errmsg', what))
    # What follows lists timeouts, and every server with all that is known of it.
    for tail in (' (configured timeouts', ', Timeout:'):
        what = what.split(tail)[0]
    return UserError(f'{address.name}: must answer, got: {" ".join(what.split())}')
