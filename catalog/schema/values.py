"""Reads ids and categories from BSON values of any type that shops use for them."""

import struct
import uuid
from typing import NamedTuple

from bson.decimal128 import Decimal128

from catalog import product_key
from catalog.formats import bson_document
from catalog.formats.bson_document import BadDocument

MAX_KEY_BYTES = 255  # UTF-8, before normalization

_DOUBLE, _STRING, _BINARY, _OBJECT_ID = 0x01, 0x02, 0x05, 0x07
_NULL, _UNDEFINED = 0x0A, 0x06
_INT32_TYPE, _INT64_TYPE, _DECIMAL128 = 0x10, 0x12, 0x13
_UUID_SUBTYPES = (3, 4)

_INT32, _INT64, _DOUBLE_VALUE = struct.Struct('<i'), struct.Struct('<q'), struct.Struct('<d')


class Id(NamedTuple):
    """The id of a product.

    Attributes:
      number: The id if it is an integer, else the number of its key.
      text: The id as in the source if it is not an integer, else ''.
    """

    number: int
    text: str


def is_null(kind: int) -> bool:
    """Returns whether a value of this type is the same as none."""
    return kind in (_NULL, _UNDEFINED)


def read_id(data: bytes, at: int, *, kind: int, name: str, text_ids: bool) -> Id:
    """Reads the id of type `kind` that begins at `at`.

    Raises:
      BadDocument: `wrong_type` if it is no id, `no_id` if it is empty, `key_too_long`.
    """
    number = read_integer(data, at, kind=kind, name=name)
    if number is not None:
        return Id(number, '')
    if kind == _STRING:
        key, text = product_key.STRING, read_text(data, at, name=name)
    elif found := _read_reference(data, at, kind=kind):
        key, text = found
    else:
        got = bson_document.type_name(kind)
        rule = 'must be an integer, string, ObjectId or UUID'
        raise BadDocument('wrong_type', f'{name} {rule}, got {got}')
    if not text_ids:
        message = f'{name} must be an integer as in the first documents, got {text!r}'
        raise BadDocument('wrong_type', message)
    if not text:
        raise BadDocument('no_id', f'{name} must not be empty, got an empty string')
    size = len(text.encode(errors='surrogateescape'))
    if size > MAX_KEY_BYTES:
        raise BadDocument(
            'key_too_long', f'{name} must have at most {MAX_KEY_BYTES} bytes, got {size}'
        )
    return Id(product_key.product_id(key, text), text)


def _read_reference(data: bytes, at: int, *, kind: int) -> tuple[str, str] | None:
    """Returns the kind of key and the text of an ObjectId or a UUID, or None if it is neither."""
    if kind == _OBJECT_ID:
        return product_key.OBJECT_ID, data[at : at + 12].hex()
    if kind == _BINARY and data[at + 4] in _UUID_SUBTYPES and _length(data, at) == 16:
        return product_key.UUID, str(uuid.UUID(bytes=data[at + 5 : at + 21]))
    return None


def read_category(data: bytes, at: int, *, kind: int, name: str) -> int | str:
    """Reads a category: an integer, or a text that the tree resolves.

    An ObjectId or a UUID, which refers to a document of another collection, is its text.

    Raises:
      BadDocument: `wrong_type` if it has another type.
    """
    number = read_integer(data, at, kind=kind, name=name)
    if number is not None:
        return number
    if kind == _STRING:
        return read_text(data, at, name=name)
    if found := _read_reference(data, at, kind=kind):
        return found[1]
    got = bson_document.type_name(kind)
    rule = 'must be an integer, string, ObjectId or UUID'
    raise BadDocument('wrong_type', f'{name} {rule}, got {got}')


def read_integer(data: bytes, at: int, *, kind: int, name: str) -> int | None:
    """Returns a number that must be an integer of 64 bits, or None if it is not a number.

    Raises:
      BadDocument: `wrong_type` if it is another number.
    """
    if kind == _INT32_TYPE:
        return int(_INT32.unpack_from(data, at)[0])
    if kind == _INT64_TYPE:
        return int(_INT64.unpack_from(data, at)[0])
    if kind == _DOUBLE:
        (value,) = _DOUBLE_VALUE.unpack_from(data, at)
        if value.is_integer() and -(2.0**63) <= value < 2.0**63:
            return int(value)
        raise BadDocument('wrong_type', f'{name} must be an integer of 64 bits, got double {value}')
    if kind == _DECIMAL128:
        decimal = Decimal128.from_bid(data[at : at + 16]).to_decimal()
        # A huge exponent would make a huge integer.
        if decimal.is_finite() and abs(decimal) < 2**64 and decimal == decimal.to_integral_value():
            number = int(decimal)
            if -(2**63) <= number < 2**63:
                return number
        raise BadDocument(
            'wrong_type', f'{name} must be an integer of 64 bits, got Decimal128 {decimal}'
        )
    return None


def read_text_or_none(data: bytes, at: int, *, kind: int, name: str) -> str | None:
    """Returns the string that begins at `at`, or None if the value has another type."""
    return read_text(data, at, name=name) if kind == _STRING else None


def read_text(data: bytes, at: int, *, name: str) -> str:
    """Returns the string that begins at `at`.

    Raises:
      BadDocument: `wrong_type` if it is not UTF-8.
    """
    try:
        return data[at + 4 : at + 3 + _length(data, at)].decode()
    except UnicodeDecodeError:
        raise BadDocument('wrong_type', f'{name} must be UTF-8, got other bytes') from None


def _length(data: bytes, at: int) -> int:
    return int(_INT32.unpack_from(data, at)[0])
