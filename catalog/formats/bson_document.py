"""Reads the fields of a BSON document of any schema. Lengths, terminators and types are checked.

Specification: https://bsonspec.org/spec.html.
"""

import struct
from collections.abc import Iterator

MIN_BYTES = 5  # a length and a terminator
MAX_BYTES = (16 << 20) + (16 << 10)  # the server's limit: 16 MiB and its own overhead

_INT32 = struct.Struct('<i')

_DOCUMENT, _ARRAY, _BINARY = 0x03, 0x04, 0x05
_OLD_BINARY = 0x02  # a binary subtype that repeats its length inside

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
    """A document that is not a product.

    Attributes:
      reason: Its key in the ledger.
      product_id: Id of the product, or the number of its key. None if unknown.
      key: The id as in the source if it is not an integer, else ''.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.product_id: int | None = None
        self.key = ''


def type_name(kind: int) -> str:
    """Returns the name of a BSON type."""
    return _TYPE_NAMES.get(kind, f'type 0x{kind:02x}')


def framed_length(data: bytes, start: int) -> int:
    """Returns the length field of the document at `start`, or 0 if it is out of range."""
    if start + MIN_BYTES > len(data):
        return 0
    (length,) = _INT32.unpack_from(data, start)
    return length if MIN_BYTES <= length <= MAX_BYTES else 0


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
            at = skip(data, name_end + 1, kind, limit)
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, BadDocument):
            raise
        raise BadDocument('invalid_document', 'the document ends within a field') from error


def nested_end(data: bytes, at: int, limit: int) -> int:
    """Returns the end of the nested document that begins at `at`, after its terminator."""
    (length,) = _INT32.unpack_from(data, at)
    end = at + int(length)
    if length < MIN_BYTES or end >= limit or data[end - 1]:
        raise BadDocument('invalid_document', f'the nested length {length} is wrong')
    return end


def skip(data: bytes, at: int, kind: int, limit: int) -> int:
    """Returns the end of the value of type `kind` that begins at `at`."""
    if kind in _FIXED:
        end = at + _FIXED[kind]
    elif kind in _NESTED:
        end = nested_end(data, at, limit)
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
