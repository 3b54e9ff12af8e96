"""Reads a MongoDB collection in order of `_id`, and resumes after lost cursors and connections.

Knows no pictures: documents are the bytes that the server sent.

An address with a password is a secret. Workers receive its name, an environment variable or a file,
and read it themselves. The driver puts a secret of the command line into a variable of its own,
which the worker processes of this machine inherit.
"""

import functools
import itertools
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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

_TRANSIENT = (AutoReconnect, CursorNotFound)
_ATTEMPTS = 5  # in a row, without a batch in between
_FIRST_WAIT_SECONDS = 0.25  # doubles with each attempt

_ENV, _FILE = 'mongodb+env://', 'mongodb+file://'
SCHEMES = ('mongodb://', 'mongodb+srv://', _ENV, _FILE)
_HIDDEN = '_SHARD_JOB_MONGODB_URI_'  # then a number
_SECRET_OPTIONS = frozenset({'authmechanismproperties', 'tlscertificatekeyfilepassword'})

_NO_SUCH_COLLECTION = 26  # the server's error code

# pymongo's defaults are 30 s to find a server and no limit for its response.
_TIMEOUTS = {
    'serverselectiontimeoutms': 10_000,
    'connecttimeoutms': 10_000,
    'sockettimeoutms': 120_000,
}


@dataclass(frozen=True)
class Address:
    """The address of a collection. Contains no user and no password.

    Attributes:
      reference: The URI if it has no secret, else `mongodb+env://NAME` or `mongodb+file://PATH`.
      name: Hosts, or the reference, with database and collection, for messages.
      database: Name of the database.
      collection: Name of the collection.
    """

    reference: str
    name: str
    database: str
    collection: str


def parse_address(address: str, *, flag: str = 'input') -> Address:
    """Parses `mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE.COLLECTION[?OPTIONS]`.

    Args:
      address: The URI, or `mongodb+env://NAME` or `mongodb+file://PATH` of a variable or a file
        that contains it.
      flag: Name of the flag that gave it, for messages.

    Raises:
      UserError: If the address is invalid. The library's message is included only where it cannot
        contain a password.
    """
    uri = _resolve(address)
    parts = _parse(uri, flag=flag, named=address != uri)
    collection = f'{parts["database"]}.{parts["collection"]}'
    if address != uri:
        name = f'{address} ({collection})'
    else:
        name = f'{_hosts(parts)}/{collection}'
        if parts['username'] or not _SECRET_OPTIONS.isdisjoint(map(str.lower, parts['options'])):
            address = _hide(uri)
    return Address(address, name, str(parts['database']), str(parts['collection']))


def _parse(uri: str, *, flag: str, named: bool) -> dict[str, Any]:
    """Returns the parts of a URI. `named` hides its hosts in errors."""
    rule = f'--{flag}: must be mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE.COLLECTION'
    if '@' in re.split('[/?#]', uri.partition('://')[2], maxsplit=1)[-1] and _has_path(uri):
        raise _escape_error(rule)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            parts = uris.parse_uri(uri)
    except (ConfigurationError, Warning) as error:
        if named:
            raise UserError(f'{rule}, got a named address that is not') from None
        raise UserError(f'{rule}, got: {error}') from None
    except (PyMongoError, ValueError):
        raise _escape_error(rule) from None
    if not parts['database'] or not parts['collection']:
        shown = 'one' if named else f'{_hosts(parts)}/{parts["database"] or ""}'
        raise UserError(f'{rule}, got {shown} without a collection')
    return parts


def _has_path(uri: str) -> bool:
    return re.search('[/?#]', uri.partition('://')[2]) is not None


def _escape_error(rule: str) -> UserError:
    return UserError(f'{rule}, user and password percent-encoded; got another mongodb address')


def _hosts(parts: Mapping[str, Any]) -> str:
    hosts = (f'{host}:{port}' if port else str(host) for host, port in parts['nodelist'])
    return f'mongodb://{",".join(hosts)}'


def _hide(uri: str) -> str:
    """Puts a secret into a variable of this process and its children. Returns its reference."""
    for number in itertools.count():
        name = f'{_HIDDEN}{number}'
        if os.environ.setdefault(name, uri) == uri:
            return f'{_ENV}{name}'
    raise AssertionError  # unreachable


def _resolve(reference: str) -> str:
    """Returns the URI that a reference names, or the URI itself.

    Raises:
      UserError: If the variable or the file does not exist in this process.
    """
    if reference.startswith(_ENV):
        name = reference.removeprefix(_ENV)
        uri = os.environ.get(name, '').strip()
        if not uri and name.startswith(_HIDDEN):
            raise UserError(
                '--input: a mongodb address with a password reaches only workers on this machine; '
                'use mongodb+env://NAME or mongodb+file://PATH, which each worker reads'
            )
        got = f'the environment variable {name} is empty or not set'
    elif reference.startswith(_FILE):
        path = reference.removeprefix(_FILE)
        try:
            uri = Path(path).read_text(encoding='utf-8').strip()
        except (OSError, ValueError) as error:
            raise UserError(f'{path}: must contain a mongodb address, got: {error}') from None
        got = f'{path} is empty'
    else:
        return reference
    if not uri.startswith(('mongodb://', 'mongodb+srv://')):
        got = got if not uri else 'something else'
        raise UserError(f'{reference}: must name a mongodb address, but {got} on this machine')
    return uri


def collection_size(address: Address) -> tuple[int, int]:
    """Returns the number of documents and their size in bytes, as the server counts them."""
    with user_errors(address):
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
    with user_errors(address):
        return open_collection(address).count_documents({'_id': dict(condition)})


def find_id(address: Address, condition: Condition, *, skip: int = 0, last: bool = False) -> Any:
    """Returns one `_id` that meets the condition, or None.

    The server walks its index and reads no document.

    Args:
      address: The collection.
      condition: Condition on `_id`.
      skip: Number of ids to skip.
      last: Whether to begin at the last id instead of the first.
    """
    with user_errors(address):
        found = open_collection(address).find(
            {'_id': dict(condition)}, {'_id': 1}, sort=[('_id', -1 if last else 1)], skip=skip
        )
        for fields in found.limit(1):
            return fields['_id']
    return None


def is_indexed(address: Address, field: str) -> bool:
    """Returns whether the server finds documents by a field without reading all of them."""
    with user_errors(address):
        indexes = open_collection(address).index_information().values()
    return field == '_id' or any(index['key'][0][0] == field for index in indexes)


def read_documents(
    address: Address,
    condition: Condition,
    *,
    fields: Iterable[str],
    by: str = '_id',
    skip: int = 0,
) -> Iterator[tuple[bytes, int, int]]:
    """Yields the documents that meet the condition, in order of `_id`, as (data, start, end).

    A document is data[start:end]. `data` is one batch from the server, at most about 16 MB. After a
    lost cursor or connection, reading resumes after the last `_id` that was seen.

    Args:
      address: The collection.
      condition: Condition on the field `by`.
      fields: Top-level fields to read; others stay on the server. For a nested field of a value
        that is not an array, a server would return the same as for a missing field.
      by: The field that must meet the condition.
      skip: Number of documents to skip.
    """
    seen, last, attempts = skip, None, 0
    projection = dict.fromkeys(('_id', *fields), 1)
    while True:
        try:
            query, left = _remaining(condition, seen, last) if by == '_id' else (condition, seen)
            for data in _batches(address, {by: dict(query)}, projection, left):
                attempts = 0
                for start, end in _bounds(data):
                    yield data, start, end
                    seen += 1
                last = document_id(data[start:end])
            return
        except _TRANSIENT as error:
            attempts += 1
            if attempts > _ATTEMPTS:
                raise _user_error(address, error) from None
            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (attempts - 1))
        except PyMongoError as error:
            raise _user_error(address, error) from None


def first_documents(address: Address, count: int) -> Iterator[bytes]:
    """Yields the first documents with all their fields."""
    with user_errors(address):
        for data in open_collection(address).find_raw_batches({}, limit=count):
            for start, end in _bounds(data):
                yield data[start:end]


def document_id(data: bytes) -> Any:
    """Returns the `_id` of a document, of any type."""
    return RawBSONDocument(data)['_id']


def _remaining(condition: Condition, seen: int, last: Any) -> tuple[dict[str, Any], int]:
    """Returns the condition of the documents left to read, and how many of these to skip."""
    if last is None or '$not' in condition:  # "greater" compares within one type only
        return dict(condition), seen
    return {**condition, '$gt': last}, 0


def _batches(
    address: Address, query: Mapping[str, Any], projection: Mapping[str, int], skip: int
) -> Iterator[bytes]:
    found = open_collection(address).find_raw_batches(
        query, dict(projection), sort=[('_id', 1)], skip=skip
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


def open_collection(address: Address) -> Collection:
    """Returns the collection; a client is shared within a process."""
    return _client(address).get_database(address.database).get_collection(address.collection)


def _client(address: Address) -> MongoClient:
    return _client_of(_resolve(address.reference), os.getpid())


@functools.cache
def _client_of(uri: str, process: int) -> MongoClient:
    del process  # a client must not be shared with a forked child
    given = {name.lower() for name in uris.parse_uri(uri, warn=True)['options']}
    defaults: dict[str, Any] = {n: value for n, value in _TIMEOUTS.items() if n not in given}
    return MongoClient(uri, **defaults)


@contextmanager
def user_errors(address: Address) -> Iterator[None]:
    """Turns the library's errors into one line that names the server."""
    try:
        yield
    except PyMongoError as error:
        raise _user_error(address, error) from None


def _user_error(address: Address, error: PyMongoError) -> UserError:
    message = str(error)
    if isinstance(error, OperationFailure) and error.details:
        message = str(error.details.get('errmsg', message))
    if address.reference.startswith((_ENV, _FILE)):
        # The hosts are part of the secret, unless the user named them.
        for host, port in uris.parse_uri(_resolve(address.reference), warn=True)['nodelist']:
            if str(host) not in address.name:
                message = message.replace(f'{host}:{port}', 'the server').replace(host, '…')
    # The rest lists timeouts, and the state of every server.
    for tail in (' (configured timeouts', ', Timeout:'):
        message = message.split(tail)[0]
    return UserError(f'{address.name}: must respond, got: {" ".join(message.split())}')
