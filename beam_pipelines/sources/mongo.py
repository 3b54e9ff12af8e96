"""A MongoDB collection: one document a product, `_id` its number.

Units of a range are distances from the lowest `_id`. Ranges of `_id` need no seams: the server
holds every document once, and the first and last range are open, so that none lies outside.

File 0 are the documents whose `_id` is a number, file 1 all others, which can only be kept aside. A
picture's offset counts from its document's start; a document's is its product id. The offset of a
document whose number is not whole are the number's bits as a double; in file 1 it is the position
in order of `_id`.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from bson.decimal128 import Decimal128

from beam_pipelines.scan.scan import Range, Rejected, Scan, Scanner
from beam_pipelines.sources import mongo_read
from beam_pipelines.sources.mongo_read import Address, Condition
from beam_pipelines.table import Table, starts
from catalog.errors import UserError
from catalog.formats import bson_document
from catalog.formats.bson_document import BadDocument

_NUMBERS, _OTHERS = 0, 1
_INFINITY = float('inf')
_NO_NUMBER: Condition = {'$not': {'$gte': -_INFINITY}}  # NaN too; the index knows where they lie
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_PRODUCTS_A_QUERY = 1000  # of a fetch


@dataclass(frozen=True)
class MongoCollection:
    """A collection as a source.

    Attributes:
      address: of the collection.
      documents: in it, when it was opened.
      document_bytes: of all of them.
      lowest: no whole `_id` is below it.
      highest: no whole `_id` is above it.
      others: documents whose `_id` is no number.
    """

    address: Address
    documents: int
    document_bytes: int
    lowest: int
    highest: int
    others: int

    def split(self, *, range_bytes: int) -> list[Range]:
        """Ranges of `_id` with about as many documents each.

        The server walks its index once, as far as the next boundary a request.
        """
        step = max(range_bytes * self.documents // max(self.document_bytes, 1), 1)
        cuts = [self.lowest]
        while (found := self._boundary(cuts[-1], step)) is not None:
            cuts.append(found)
        cuts.append(self.highest + 1)
        ranges = [
            Range(_NUMBERS, start - self.lowest, stop - self.lowest)
            for start, stop in pairwise(cuts)
        ]
        return [*ranges, Range(_OTHERS, 0, self.others)] if self.others else ranges

    def total_bytes(self) -> int:
        """The size of all documents."""
        return self.document_bytes

    def name(self, file: int) -> str:
        """The address without user and password."""
        return self.address.name + (' where _id is no number' if file == _OTHERS else '')

    def place(self, rejected: Rejected) -> str:
        """Where a rejected piece is found: its message names an _id that is no product id."""
        return self.name(rejected.file)

    def scan(
        self,
        scanned: Range,
        *,
        label_of: Mapping[int, int] | None,
        decode: bool,
        start: int | None = None,
    ) -> Scan:
        """Scans a range; `start` is not needed."""
        del start
        scanner = Scanner(label_of, decode=decode, file=scanned.file)
        found = mongo_read.documents(self.address, self._condition(scanned))
        for position, (data, begin, end) in enumerate(found):
            try:
                product = bson_document.parse(data, begin)
            except BadDocument as error:
                _reject(scanner, error, data[begin:end], file=scanned.file, position=position)
                continue
            scanner.add(product, data, base=-begin, offset=product.product_id, length=end - begin)
        return scanner.result(scanned, first=scanned.start, end=scanned.stop)

    def end_of(self, scanned: Range, *, start: int) -> int:
        """The end of the range: where the next one begins."""
        del start
        return scanned.stop

    def fetch(self, table: Table) -> list[bytes]:
        """The pictures of the rows, in their order; the documents in batches of `_id`.

        Raises:
          UserError: if a document is gone.
        """
        pictures: list[bytes] = [b''] * len(table)
        order = np.argsort(table['product_id'], kind='stable')
        rows = table[order]
        cuts = [*starts(rows['product_id']).tolist(), len(rows)]
        for begin in range(0, len(cuts) - 1, _PRODUCTS_A_QUERY):
            of_product = {
                int(rows['product_id'][first]): slice(first, end)
                for first, end in pairwise(cuts[begin : begin + _PRODUCTS_A_QUERY + 1])
            }
            for data, start, end in mongo_read.documents(self.address, {'$in': list(of_product)}):
                of_this = of_product.pop(mongo_read.id_of(data[start:end]))
                for row, place in zip(order[of_this], rows[of_this], strict=True):
                    at = start + int(place['offset'])
                    pictures[row] = data[at : min(at + int(place['length']), end)]
            if of_product:
                raise self._changed(min(of_product))
        return pictures

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """The bytes of a rejected piece, without the fields that are not read.

        Raises:
          UserError: if it is gone.
        """
        skip = 0
        if rejected.file == _OTHERS:
            condition, skip = _NO_NUMBER, rejected.offset
        elif rejected.product_id is not None:
            condition = {'$in': [rejected.product_id]}
        else:
            condition = _near(rejected.offset)
        found = mongo_read.documents(self.address, condition, skip=skip)
        for data, begin, end in found:
            piece = data[begin:end]
            if rejected.picture is not None:
                return piece[rejected.offset : rejected.offset + rejected.length]
            if len(piece) == rejected.length:
                return piece
        raise self._changed(rejected.product_id)

    def _condition(self, scanned: Range) -> Condition:
        if scanned.file == _OTHERS:
            return _NO_NUMBER
        first = scanned.start == 0
        last = scanned.stop > self.highest - self.lowest
        return {
            '$gte': -_INFINITY if first else scanned.start + self.lowest,
            **({'$lte': _INFINITY} if last else {'$lt': scanned.stop + self.lowest}),
        }

    def _boundary(self, cut: int, step: int) -> int | None:
        """The `_id` that is `step` documents after a cut; None if there is none."""
        condition = {'$gte': cut, '$lte': self.highest}
        found = mongo_read.one_id(self.address, condition, skip=step)
        if found is None:
            return None
        boundary = math.ceil(_number(found))
        return boundary if boundary <= self.highest else None

    def _changed(self, product_id: int | None) -> UserError:
        return UserError(
            f'{self.address.name}: must not change while it is read, product {product_id} is gone '
            'or another; run again'
        )


def open_collection(uri: str) -> MongoCollection:
    """Opens a collection.

    Raises:
      UserError: if the server does not answer, or the collection holds no whole `_id`.
    """
    address = mongo_read.parse(uri)
    documents, document_bytes = mongo_read.size(address)
    finite = {'$gt': -_INFINITY, '$lt': _INFINITY}
    lowest = mongo_read.one_id(address, finite)
    if lowest is None:
        got = 'none (empty, or no such collection)'
        if documents:
            value = mongo_read.one_id(address, _NO_NUMBER)
            got = f'{documents} documents with others, such as {value!r}'
        raise UserError(f'{address.name}: must hold products with an integer as _id, got {got}')
    return MongoCollection(
        address=address,
        documents=documents,
        document_bytes=document_bytes,
        lowest=_whole(math.floor(_number(lowest))),
        highest=_whole(math.ceil(_number(mongo_read.one_id(address, finite, last=True)))),
        others=mongo_read.count(address, _NO_NUMBER),
    )


def _reject(scanner: Scanner, error: BadDocument, data: bytes, *, file: int, position: int) -> None:
    value = mongo_read.id_of(data)
    whole = isinstance(value, int) and file == _NUMBERS
    if whole:
        offset, message = value, str(error)
    else:
        offset = position if file == _OTHERS else _bits(_number(value))
        message = f'{error}; it is {value!r}'
    scanner.reject_piece(
        reason=error.reason,
        message=message,
        offset=offset,
        length=len(data),
        product_id=value if whole else None,
    )


def _number(value: Any) -> Any:
    """A numeric `_id` as a number of Python's."""
    return value.to_decimal() if isinstance(value, Decimal128) else value


def _whole(number: int) -> int:
    """A whole number as near as an int64 can be."""
    return min(max(number, _INT64_MIN), _INT64_MAX)


def _bits(number: Any) -> int:
    return int(struct.unpack('<q', struct.pack('<d', float(number)))[0])


def _near(bits: int) -> Condition:
    """The numbers about the one with these bits: a decimal128 may lie between two doubles."""
    (number,) = struct.unpack('<d', struct.pack('<q', bits))
    return {'$gte': math.nextafter(number, -_INFINITY), '$lte': math.nextafter(number, _INFINITY)}
