"""A MongoDB collection with one document per product.

The product id is `_id`, or the field that `--fields` names, which must be indexed: pictures are
fetched by product id. Documents are read in order of `_id`. The server returns every document once,
and the first and the last range are open, so that no document is outside.

File 0 contains the documents whose `_id` is a number. Units of its ranges are values of `_id`. File
1 contains all others. Units of its ranges are indices in order of `_id`. A product's position is
its `_id` or its index, and a picture's offset counts from the start of its document. A rejected
document's offset is its position; or, if `_id` is a number but not an integer, the bits of that
number as a double.
"""

import math
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from bson.binary import OLD_UUID_SUBTYPE, UUID_SUBTYPE, Binary
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from catalog.errors import UserError
from catalog.formats.bson_document import BadDocument
from catalog.listings import runs
from catalog.schema import product_document
from catalog.schema.fields import DOCUMENT_FIELDS, OWN_NAMES, Fields
from catalog.schema.product_document import USUAL, Schema
from catalog.sources import mongo_read
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
      schema: Schema of the documents.
    """

    address: Address
    documents: int
    document_bytes: int
    lowest: int
    highest: int
    others: int
    schema: Schema = USUAL

    def guesses_starts(self) -> bool:
        """Returns False: the server knows the documents of a range."""
        return False

    def joint_read_bytes(self) -> int:
        """Returns 0: pictures are fetched by product."""
        return 0

    def key_bytes(self) -> int:
        """Returns the most bytes of a key."""
        return self.schema.key_bytes()

    def listed_names(self) -> bytes:
        """Returns nothing: documents are not listed."""
        return b''

    def total_bytes(self) -> int:
        """Returns the size of all documents."""
        return self.document_bytes

    def split(self, *, range_bytes: int) -> list[Range]:
        """Returns ranges of `_id` with about equal numbers of documents.

        The server walks its index once, up to the next boundary in each request.
        """
        step = max(range_bytes * self.documents // max(self.document_bytes, 1), 1)
        others = [
            Range(_OTHERS, start, min(start + step, self.others))
            for start in range(0, self.others, step)
        ]
        if self.lowest > self.highest:
            return others
        cuts = [self.lowest]
        while (found := self._boundary(cuts[-1], step)) is not None:
            cuts.append(found)
        cuts.append(self.highest + 1)
        ranges = [Range(_NUMBERS, start, stop) for start, stop in pairwise(cuts)]
        return ranges + others

    def file_name(self, file: int) -> str:
        """Returns the address without user and password."""
        return self.address.name + (' where _id is not a number' if file == _OTHERS else '')

    def describe_place(self, rejected: Rejected) -> str:
        """Returns the address. The message of a rejected piece names its `_id`."""
        return self.file_name(rejected.file)

    def shown_offset(self, file: int, offset: int) -> int:
        """Returns the offset as it is."""
        del file
        return offset

    def notes(self) -> Sequence[str]:
        """Returns nothing: all is read."""
        return ()

    def first_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yields the first documents: address without user and password, BSON."""
        for document in mongo_read.first_documents(self.address, _LOOK_DOCUMENTS):
            yield self.address.name, document

    def read(self, part: Range) -> Iterator[Piece]:
        """Yields the products of a range, those of one batch of the server together."""
        batch = Batch(b'')
        skip, most = (0, None) if part.file == _NUMBERS else (part.start, part.stop - part.start)
        found = self._documents(self._condition(part), skip=skip)
        for index, (data, start, end) in enumerate(islice(found, most), skip):
            if data is not batch.data:
                if len(batch):
                    yield batch.products()
                batch = Batch(data)
            try:
                product = product_document.parse(data, start, schema=self.schema)
            except BadDocument as error:
                yield _rejected(error, data[start:end], file=part.file, index=index)
                continue
            if part.file == _OTHERS:
                position = index
            elif self.schema.fields.is_renamed('_id'):
                position = _clip(math.floor(_number(mongo_read.document_id(data[start:end]))))
            else:
                position = product.product_id
            batch.add(product, position=position, length=end - start, shift=-start)
        if len(batch):
            yield batch.products()

    def fetch(self, pictures: Pictures) -> list[bytes]:
        """Returns the bytes of pictures, in the order of the rows. Queries batches of `_id`.

        Raises:
          UserError: If a document no longer exists.
        """
        found: list[bytes] = [b''] * len(pictures)
        keyed = 'key' in (pictures.dtype.names or ())
        order = np.argsort(pictures['product_id'], kind='stable')
        rows = pictures[order]
        cuts = [*runs.starts(rows['product_id']).tolist(), len(rows)]
        for begin in range(0, len(cuts) - 1, _PRODUCTS_A_QUERY):
            rows_by_product = {
                int(rows['product_id'][first]): slice(first, end)
                for first, end in pairwise(cuts[begin : begin + _PRODUCTS_A_QUERY + 1])
            }
            wanted = list(rows_by_product)
            if keyed:
                keys = {n: rows['key'][same.start] for n, same in rows_by_product.items()}
                wanted = [value for n, key in keys.items() for value in _id_values(n, key)]
            for data, start, end in self._find(wanted):
                product_id = self._product_id(data, start)
                if product_id is None:
                    continue
                # The first document in order of `_id` is the one that was scanned.
                same = rows_by_product.pop(product_id, slice(0))
                for row, place in zip(order[same], rows[same], strict=True):
                    offset = start + int(place['offset'])
                    found[row] = data[offset : min(offset + int(place['length']), end)]
            if rows_by_product:
                lost = rows[min(rows_by_product.values(), key=lambda same: same.start).start]
                key = lost['key'].decode() if keyed else ''
                raise self._changed(key or int(lost['product_id']))
        return found

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """Returns the bytes of a rejected piece, without the fields that are not read.

        Raises:
          UserError: If it no longer exists.
        """
        if rejected.picture is not None and rejected.product_id is not None:
            wanted = _id_values(rejected.product_id, rejected.key.encode())
            for data, start, end in self._find(wanted):
                if self._product_id(data, start) == rejected.product_id:
                    begin = start + rejected.offset
                    return data[begin : min(begin + rejected.length, end)]
        elif rejected.file == _OTHERS:
            for data, start, end in self._documents(_NOT_A_NUMBER, skip=rejected.offset):
                return data[start:end]
        else:
            for condition in ({'$in': [rejected.offset]}, _near(rejected.offset)):
                for data, start, end in self._documents(condition):
                    if end - start == rejected.length:
                        return data[start:end]
        raise self._changed(rejected.key or rejected.product_id)

    def _documents(
        self, condition: Condition, *, by: str = '_id', skip: int = 0
    ) -> Iterator[tuple[bytes, int, int]]:
        fields = (name.decode() for name in self.schema.wanted)
        return mongo_read.read_documents(self.address, condition, fields=fields, by=by, skip=skip)

    def _find(self, ids: list[Any]) -> Iterator[tuple[bytes, int, int]]:
        """Yields the documents with these values of the field that has the product id."""
        return self._documents({'$in': ids}, by=self.schema.fields['_id'])

    def _product_id(self, data: bytes, start: int) -> int | None:
        """Returns the product id of a document, or None if it is no product any more."""
        try:
            return product_document.parse(data, start, schema=self.schema).product_id
        except BadDocument:
            return None

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

    def _changed(self, product_id: int | str | None) -> UserError:
        return UserError(
            f'{self.address.name}: must not change while it is read, but product {product_id} was '
            'changed or deleted; run again'
        )


def open_collection(uri: str, fields: Fields = OWN_NAMES) -> MongoCollection:
    """Opens a collection.

    Raises:
      UserError: If the server does not respond, the collection is empty, or the field of the
        product id has no index.
    """
    fields.check(DOCUMENT_FIELDS, source='MongoDB documents')
    address = mongo_read.parse_address(uri)
    documents, document_bytes = mongo_read.collection_size(address)
    finite = {'$gt': -_INFINITY, '$lt': _INFINITY}
    lowest = mongo_read.find_id(address, finite)
    others = mongo_read.count_documents(address, _NOT_A_NUMBER)
    if lowest is None and not others:
        got = 'none (the collection is empty or does not exist)'
        raise UserError(f'{address.name}: must contain products, got {got}')
    name = fields['_id']
    if not mongo_read.is_indexed(address, name):
        raise UserError(
            f'{address.name}: --fields=_id={name} must name an indexed field, got one without an '
            f'index; create it, for example with db.{address.collection}.createIndex({{"{name}": '
            '1}})'
        )
    first = mongo_read.first_documents(address, _LOOK_DOCUMENTS)
    return MongoCollection(
        address=address,
        documents=documents,
        document_bytes=document_bytes,
        lowest=0 if lowest is None else _clip(math.floor(_number(lowest))),
        highest=-1
        if lowest is None
        else _clip(math.ceil(_number(mongo_read.find_id(address, finite, last=True)))),
        others=others,
        schema=product_document.recognize(first, fields),
    )


def _rejected(error: BadDocument, data: bytes, *, file: int, index: int) -> Rejected:
    value = mongo_read.document_id(data)
    message = str(error)
    if error.product_id is None:
        message += f'; _id is {value!r}'
    if file == _OTHERS:
        offset = index
    else:
        offset = value if isinstance(value, int) else _bits(_number(value))
    return Rejected(
        reason=error.reason,
        file=file,
        offset=offset,
        length=len(data),
        product_id=error.product_id,
        picture=None,
        message=message,
        key=error.key,
    )


def _id_values(product_id: int, key: bytes) -> list[Any]:
    """Returns the values that a product id may have in a document."""
    if not key:
        return [product_id]
    text = key.decode()
    values: list[Any] = [text]
    if ObjectId.is_valid(text):
        values.append(ObjectId(text))
    try:
        number = uuid.UUID(text)
    except ValueError:
        return values
    subtypes = (UUID_SUBTYPE, OLD_UUID_SUBTYPE)
    return values + [Binary(number.bytes, subtype) for subtype in subtypes]


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
