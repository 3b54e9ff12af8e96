"""Parses a BSON product document: the product, and the offsets of its pictures in the bytes.

Keys may be in any order, numbers int32 or int64, and unknown fields are skipped. Lengths,
terminators and types are checked. Splitting a dump into documents is the job of its source.
Specification: https://bsonspec.org/spec.html.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

MIN_BYTES = 5  # a length and a terminator
MAX_BYTES = (16 << 20) + (16 << 10)  # the server's limit: 16 MiB and its own overhead

_INT32 = struct.Struct('<i')
_INT64 = struct.Struct('<q')

_DOCUMENT, _ARRAY, _BINARY, _INT32_TYPE, _INT64_TYPE = 0x03, 0x04, 0x05, 0x10, 0x12
_OLD_BINARY = 0x02  # a binary subtype that repeats its length inside

# The layout of Kaggle's files, which is parsed in a few steps.
_HEAD = struct.Struct('<i5si6si')  # length, _id, its value, imgs, its length
_ENTRY = struct.Struct('<B2si9siB')  # 0x03, '0', length, picture, its length, its subtype
_TAIL = struct.Struct('<B13siB')  # end of imgs, category_id, its value, end
_ID, _IMGS, _PICTURE, _CATEGORY = (
    b'\x10_id\0',
    b'\x04imgs\0',
    b'\x05picture\0',
    b'\x10category_id\0',
)
_INDICES = tuple(b'%d\0' % index for index in range(10))
_ENTRY_BYTES = _ENTRY.size - 3  # an entry's document without the picture and the terminator
_GENERIC_BINARY = 0

# Sizes in bytes of the types of fixed size.
_FIXED = {
    0x01: 8,  # double
    0x06: 0,  # undefined
    0x07: 12,  # object id
    0x08: 1,  # boolean
    0x09: 8,  # date
    0x0A: 0,  # null
    0x10: 4,  # int32
    0x11: 8,  # timestamp
    0x12: 8,  # int64
    0x13: 16,  # decimal128
    0x7F: 0,  # max key
    0xFF: 0,  # min key
}
# Names as in MongoDB's drivers and shell.
_TYPE_NAMES = {
    0x01: 'double',
    0x02: 'string',
    0x03: 'object',
    0x04: 'array',
    0x05: 'binary',
    0x06: 'undefined',
    0x07: 'ObjectId',
    0x08: 'boolean',
    0x09: 'date',
    0x0A: 'null',
    0x0B: 'regex',
    0x0C: 'DBPointer',
    0x0D: 'code',
    0x0E: 'symbol',
    0x0F: 'code with scope',
    0x10: 'int32',
    0x11: 'timestamp',
    0x12: 'int64',
    0x13: 'Decimal128',
    0x7F: 'MaxKey',
    0xFF: 'MinKey',
}
_STRINGS = frozenset({0x02, 0x0D, 0x0E})  # string, code, symbol: int32 length, bytes, 0
_NESTED = frozenset({_DOCUMENT, _ARRAY, 0x0F})  # int32 total length; 0x0F: code with scope
_REGEX, _POINTER = 0x0B, 0x0C


class BadDocument(ValueError):
    """A document that is not a product; `reason` is its key in the ledger."""

    def __init__(self, reason: str, message: str, *, product_id: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.product_id = product_id


# A tuple, because millions are created, and a dataclass takes four times as long.
class Product(NamedTuple):
    """A product.

    Attributes:
      product_id: `_id`.
      category_id: The shop's category id; None if the document has none.
      pictures: (offset, length) of each picture in the parsed bytes, in source order.
    """

    product_id: int
    category_id: int | None
    pictures: tuple[tuple[int, int], ...]


def type_name(kind: int) -> str:
    """Returns the name of a BSON type."""
    return _TYPE_NAMES.get(kind, f'type 0x{kind:02x}')


def framed_length(data: bytes, start: int) -> int:
    """Returns the length field of the document at `start`, or 0 if it is out of range."""
    if start + MIN_BYTES > len(data):
        return 0
    (length,) = _INT32.unpack_from(data, start)
    return length if MIN_BYTES <= length <= MAX_BYTES else 0


def parse(data: bytes, start: int = 0) -> Product:
    """Parses the document that begins at `start`. Picture offsets are relative to `data`.

    Raises:
      BadDocument: `invalid_document` if the bytes are not a complete BSON document; `wrong_type` if
        `_id`, `imgs` or `category_id` has a wrong type; `no_id`; `no_pictures`.
    """
    length = framed_length(data, start)
    if not length or start + length > len(data) or data[start + length - 1]:
        raise BadDocument('invalid_document', 'the document is incomplete')
    product = _parse_usual(data, start, start + length)
    if product is not None:
        return product
    product, end = parse_elements(data, start, start + length)
    if end != start + length:
        raise BadDocument('invalid_document', 'the document ends before its length')
    return product


def _parse_usual(data: bytes, start: int, end: int) -> Product | None:
    """Parses a document of Kaggle's layout; returns None if it has another layout."""
    if end - start < _HEAD.size + _TAIL.size:
        return None
    _, id_name, product_id, imgs, imgs_length = _HEAD.unpack_from(data, start)
    tail = end - _TAIL.size
    imgs_start = start + _HEAD.size - 4
    if id_name != _ID or imgs != _IMGS or imgs_start + imgs_length != tail + 1:
        return None
    imgs_end, name, category_id, terminator = _TAIL.unpack_from(data, tail)
    if imgs_end or terminator or name != _CATEGORY:
        return None
    pictures = []
    at = start + _HEAD.size
    for index in _INDICES:
        if at + _ENTRY.size > tail:
            break
        kind, key, entry_length, name, length, subtype = _ENTRY.unpack_from(data, at)
        first = at + _ENTRY.size
        at += 3 + entry_length
        if (
            kind != _DOCUMENT
            or key != index
            or name != _PICTURE
            or subtype != _GENERIC_BINARY
            or length < 0
            or entry_length != length + _ENTRY_BYTES + 1
            or at > tail
            or data[at - 1]
        ):
            return None
        pictures.append((first, length))
    return Product(product_id, category_id, tuple(pictures)) if at == tail and pictures else None


def parse_elements(data: bytes, start: int, limit: int) -> tuple[Product, int]:
    """Parses the fields of the document at `start`; returns its product and its end.

    Ignores the length field, so that a document with a damaged length is recognised. The end is the
    offset after the terminator.
    """
    product_id = category_id = None
    pictures: tuple[tuple[int, int], ...] | None = None
    at = start + 4
    try:
        while kind := data[at]:
            name_end = data.index(0, at + 1, limit)
            name = data[at + 1 : name_end]
            at = name_end + 1
            if name == b'_id':
                product_id = _number(data, at, kind=kind, name='_id')
            elif name == b'category_id':
                category_id = _number(data, at, kind=kind, name='category_id')
            elif name == b'imgs':
                if kind != _ARRAY:
                    raise BadDocument('wrong_type', f'imgs must be an array, got {type_name(kind)}')
                pictures = _pictures(data, at, limit)
            at = _skip(data, at, kind, limit)
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, BadDocument):
            error.product_id = product_id
            raise
        raise BadDocument('invalid_document', 'the document ends within a field') from error
    if at >= limit:
        raise BadDocument('invalid_document', 'the document has no terminator')
    if product_id is None:
        raise BadDocument('no_id', 'a product must have an _id, got none')
    if not pictures:
        raise BadDocument(
            'no_pictures', 'a product must have pictures, got none', product_id=product_id
        )
    return Product(product_id, category_id, pictures), at + 1


def read_fields(data: bytes, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields the fields of the document at `start`, of any schema: name, type, offset of the value.

    Raises:
      BadDocument: If the document is not valid BSON.
    """
    length = framed_length(data, start)
    limit = start + length
    if not length or limit > len(data):
        raise BadDocument('invalid_document', 'the document is incomplete')
    at = start + 4
    try:
        while kind := data[at]:
            name_end = data.index(0, at + 1, limit)
            yield data[at + 1 : name_end], kind, name_end + 1
            at = _skip(data, name_end + 1, kind, limit)
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, BadDocument):
            raise
        raise BadDocument('invalid_document', 'the document ends within a field') from error


def _number(data: bytes, at: int, *, kind: int, name: str) -> int:
    if kind == _INT32_TYPE:
        return int(_INT32.unpack_from(data, at)[0])
    if kind == _INT64_TYPE:
        return int(_INT64.unpack_from(data, at)[0])
    raise BadDocument('wrong_type', f'{name} must be int32 or int64, got {type_name(kind)}')


def _pictures(data: bytes, start: int, limit: int) -> tuple[tuple[int, int], ...]:
    """Parses the array of `{picture: binary}` that begins at `start`."""
    end = _nested_end(data, start, limit)
    pictures = []
    at = start + 4
    while kind := data[at]:
        at = data.index(0, at + 1, end) + 1
        if kind != _DOCUMENT:
            raise BadDocument('wrong_type', f'imgs must contain documents, got {type_name(kind)}')
        pictures.append(_picture(data, at, end))
        at = _nested_end(data, at, end)
    if at != end - 1:
        raise BadDocument('invalid_document', 'imgs ends before its length')
    return tuple(pictures)


def _picture(data: bytes, start: int, limit: int) -> tuple[int, int]:
    """Returns the offset and length of `picture` in the document that begins at `start`."""
    end = _nested_end(data, start, limit)
    found = None
    at = start + 4
    while kind := data[at]:
        name_end = data.index(0, at + 1, end)
        value = name_end + 1
        if kind == _BINARY and name_end - at == 8 and data[at + 1 : name_end] == b'picture':
            (length,) = _INT32.unpack_from(data, value)
            found = (value + 5, length)
            if data[value + 4] == _OLD_BINARY and length >= 4:
                found = (value + 9, length - 4)
        at = _skip(data, value, kind, end)
    if at != end - 1:
        raise BadDocument('invalid_document', 'a picture ends before its length')
    if found is None:
        raise BadDocument('wrong_type', 'an entry of imgs must have a binary picture, got none')
    return found


def _nested_end(data: bytes, at: int, limit: int) -> int:
    """Where the nested document that begins at `at` ends, terminator passed."""
    (length,) = _INT32.unpack_from(data, at)
    end = at + int(length)
    if length < MIN_BYTES or end >= limit or data[end - 1]:
        raise BadDocument('invalid_document', f'the nested length {length} is wrong')
    return end


def _skip(data: bytes, at: int, kind: int, limit: int) -> int:
    """Returns the end of the value of type `kind` that begins at `at`."""
    if kind in _FIXED:
        end = at + _FIXED[kind]
    elif kind in _NESTED:
        end = _nested_end(data, at, limit)
    elif kind == _BINARY:
        (length,) = _INT32.unpack_from(data, at)
        old = length >= 4 and data[at + 4] == _OLD_BINARY
        if length < 0 or (old and _INT32.unpack_from(data, at + 5)[0] != length - 4):
            raise BadDocument('invalid_document', f'the binary length {length} is wrong')
        end = at + 5 + length
    elif kind in _STRINGS:
        end = _string_end(data, at, limit)
    elif kind == _REGEX:
        end = data.index(0, data.index(0, at, limit) + 1, limit) + 1
    elif kind == _POINTER:
        end = _string_end(data, at, limit) + 12
    else:
        raise BadDocument('invalid_document', f'the type 0x{kind:02x} does not exist')
    if end >= limit:  # the terminator follows
        raise BadDocument('invalid_document', 'a value ends after its document')
    return end


def _string_end(data: bytes, at: int, limit: int) -> int:
    (length,) = _INT32.unpack_from(data, at)
    end = at + 4 + int(length)
    if length < 1 or end >= limit or data[end - 1]:
        raise BadDocument('invalid_document', f'the string length {length} is wrong')
    return end
