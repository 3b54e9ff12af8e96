"""A MongoDB collection with one document per product, whose `_id` is the product id.

Units of a range are values of `_id`. The server returns every document once, and the first and the
last range are open, so that no document is outside.

File 0 contains the documents whose `_id` is a number, file 1 all others, which can only be
rejected. A product's position is its product id, and a picture's offset counts from the start of
its document. A rejected document's offset is its product id; or, if `_id` is a number but not an
integer, the bits of that number as a double; or, in file 1, the index in order of `_id`.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from bson.decimal128 import Decimal128

from catalog.errors import UserError
from catalog.formats import bson_document
from catalog.formats.bson_document import BadDocument
from catalog.sources import mongo_read, runs
from catalog.sources.mongo_read import Address, Condition
from catalog.sources.source import Batch, Pictures, Piece, Range, Rejected

_NUMBERS, _OTHERS = 0, 1
_INFINITY = float('inf')
_NOT_A_NUMBER: Condition = {'$not': {'$gte': -_INFINITY}}  # includes NaN; the index finds these
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_LOOK_DOCUMENTS = 20
_PRODUCTS_A_QUERY = 1000  # of a fetch


@dataclass(frozen=True)
class MongoCollection:
    """A collection as a source.

    Attributes:
      address: Address of the collection.
      documents: Number of documents when the collection was opened.
      document_bytes: Size of all documents.
      lowest: No integer `_id` is less than this.
      highest: No integer `_id` is greater than this.
      others: Number of documents whose `_id` is not a number.
    """

    address: Address
    documents: int
    document_bytes: int
    lowest: int
    highest: int
    others: int

    def guesses_starts(self) -> bool:
        """Returns False: the server knows the documents of a range."""
        return False

    def joint_read_bytes(self) -> int:
        """Returns 0: pictures are fetched by product."""
        return 0

    def total_bytes(self) -> int:
        """Returns the size of all documents."""
        return self.document_bytes

    def split(self, *, range_bytes: int) -> list[Range]:
        """Returns ranges of `_id` with about equal numbers of documents.

        The server walks its index once, up to the next boundary in each request.
        """
        step = max(range_bytes * self.documents // max(self.document_bytes, 1), 1)
        cuts = [self.lowest]
        while (found := self._boundary(cuts[-1], step)) is not None:
            cuts.append(found)
        cuts.append(self.highest + 1)
        ranges = [Range(_NUMBERS, start, stop) for start, stop in pairwise(cuts)]
        return [*ranges, Range(_OTHERS, 0, self.others)] if self.others else ranges

    def file_name(self, file: int) -> str:
        """Returns the address without user and password."""
        return self.address.name + (' where _id is not a number' if file == _OTHERS else '')

    def describe_place(self, rejected: Rejected) -> str:
        """Returns the address. The message of a rejected piece names its `_id`."""
        return self.file_name(rejected.file)

    def notes(self) -> Mapping[str, int]:
        """Returns nothing: all is read."""
        return {}

    def first_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yields the first documents: address without user and password, BSON."""
        for document in mongo_read.first_documents(self.address, _LOOK_DOCUMENTS):
            yield self.address.name, document

    def read(self, part: Range) -> Iterator[Piece]:
        """Yields the products of a range, those of one batch of the server together."""
        batch = Batch(b'')
        found = mongo_read.read_documents(self.address, self._condition(part))
        for index, (data, start, end) in enumerate(found):
            if data is not batch.data:
                if len(batch):
                    yield batch.products()
                batch = Batch(data)
            try:
                product = bson_document.parse(data, start)
            except BadDocument as error:
                yield _rejected(error, data[start:end], file=part.file, index=index)
                continue
            batch.add(product, position=product.product_id, length=end - start, shift=-start)
        if len(batch):
            yield batch.products()

    def fetch(self, pictures: Pictures) -> list[bytes]:
        """Returns the bytes of pictures, in the order of the rows. Queries batches of `_id`.

        Raises:
          UserError: If a document no longer exists.
        """
        found: list[bytes] = [b''] * len(pictures)
        order = np.argsort(pictures['product_id'], kind='stable')
        rows = pictures[order]
        cuts = [*runs.starts(rows['product_id']).tolist(), len(rows)]
        for begin in range(0, len(cuts) - 1, _PRODUCTS_A_QUERY):
            rows_by_product = {
                int(rows['product_id'][first]): slice(first, end)
                for first, end in pairwise(cuts[begin : begin + _PRODUCTS_A_QUERY + 1])
            }
            wanted = {'$in': list(rows_by_product)}
            for data, start, end in mongo_read.read_documents(self.address, wanted):
                same = rows_by_product.pop(mongo_read.document_id(data[start:end]))
                for row, place in zip(order[same], rows[same], strict=True):
                    offset = start + int(place['offset'])
                    found[row] = data[offset : min(offset + int(place['length']), end)]
            if rows_by_product:
                raise self._changed(min(rows_by_product))
        return found

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """Returns the bytes of a rejected piece, without the fields that are not read.

        Raises:
          UserError: If it no longer exists.
        """
        skip = 0
        if rejected.file == _OTHERS:
            condition, skip = _NOT_A_NUMBER, rejected.offset
        elif rejected.product_id is not None:
            condition = {'$in': [rejected.product_id]}
        else:
            condition = _near(rejected.offset)
        found = mongo_read.read_documents(self.address, condition, skip=skip)
        for data, start, end in found:
            piece = data[start:end]
            if rejected.picture is not None:
                return piece[rejected.offset : rejected.offset + rejected.length]
            if len(piece) == rejected.length:
                return piece
        raise self._changed(rejected.product_id)

    def _condition(self, part: Range) -> Condition:
        if part.file == _OTHERS:
            return _NOT_A_NUMBER
        return {
            '$gte': -_INFINITY if part.start == self.lowest else part.start,
            **({'$lte': _INFINITY} if part.stop > self.highest else {'$lt': part.stop}),
        }

    def _boundary(self, cut: int, step: int) -> int | None:
        """Returns the `_id` that is `step` documents after a cut, or None."""
        condition = {'$gte': cut, '$lte': self.highest}
        found = mongo_read.find_id(self.address, condition, skip=step)
        if found is None:
            return None
        boundary = math.ceil(_number(found))
        return boundary if boundary <= self.highest else None

    def _changed(self, product_id: int | None) -> UserError:
        return UserError(
            f'{self.address.name}: must not change while it is read, but product {product_id} was '
            'changed or deleted; run again'
        )


def open_collection(uri: str) -> MongoCollection:
    """Opens a collection.

    Raises:
      UserError: If the server does not respond, or the collection has no numeric `_id`.
    """
    address = mongo_read.parse_address(uri)
    documents, document_bytes = mongo_read.collection_size(address)
    finite = {'$gt': -_INFINITY, '$lt': _INFINITY}
    lowest = mongo_read.find_id(address, finite)
    if lowest is None:
        got = 'none (the collection is empty or does not exist)'
        if documents:
            value = mongo_read.find_id(address, _NOT_A_NUMBER)
            got = f'{documents} documents with other ids, such as {value!r}'
        raise UserError(f'{address.name}: must contain products with an integer _id, got {got}')
    return MongoCollection(
        address=address,
        documents=documents,
        document_bytes=document_bytes,
        lowest=_clip(math.floor(_number(lowest))),
        highest=_clip(math.ceil(_number(mongo_read.find_id(address, finite, last=True)))),
        others=mongo_read.count_documents(address, _NOT_A_NUMBER),
    )


def _rejected(error: BadDocument, data: bytes, *, file: int, index: int) -> Rejected:
    value = mongo_read.document_id(data)
    is_integer = isinstance(value, int) and file == _NUMBERS
    if is_integer:
        offset, message = value, str(error)
    else:
        offset = index if file == _OTHERS else _bits(_number(value))
        message = f'{error}; it is {value!r}'
    return Rejected(
        reason=error.reason,
        file=file,
        offset=offset,
        length=len(data),
        product_id=value if is_integer else None,
        picture=None,
        message=message,
    )


def _number(value: Any) -> Any:
    """Returns a numeric `_id` as a Python number."""
    return value.to_decimal() if isinstance(value, Decimal128) else value


def _clip(number: int) -> int:
    """Returns the nearest int64."""
    return min(max(number, _INT64_MIN), _INT64_MAX)


def _bits(number: Any) -> int:
    return int(struct.unpack('<q', struct.pack('<d', float(number)))[0])


def _near(bits: int) -> Condition:
    """Matches the numbers around a double: a decimal128 may be between two doubles."""
    (number,) = struct.unpack('<d', struct.pack('<q', bits))
    return {'$gte': math.nextafter(number, -_INFINITY), '$lte': math.nextafter(number, _INFINITY)}
