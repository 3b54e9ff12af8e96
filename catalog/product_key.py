"""Keys: product ids that are not integers, as text, and the stable number of each key.

A record has the number as `product/id` and the key as `product/key`. An integer id has no key. A
data set with keys has `products.parquet`, which also traces the products to their source.
"""

import hashlib
import unicodedata
from collections.abc import Iterable

from catalog import storage
from catalog.errors import UserError

PRODUCTS = 'products.parquet'  # beside the manifest

OBJECT_ID, UUID, STRING, PATH = 'objectid', 'uuid', 'string', 'path'
KINDS = (OBJECT_ID, UUID, STRING, PATH)

_NUMBER_BITS = 63  # a non-negative int64


def normalize(text: str) -> str:
    """Returns a key in the one form in which keys are compared and written, NFC."""
    return text if text.isascii() else unicodedata.normalize('NFC', text)


def encode(text: str) -> bytes:
    """Returns the bytes of a key as in `product/key`: UTF-8 of its normal form.

    Bytes of a path that are not UTF-8 stay as they are.
    """
    return normalize(text).encode(errors='surrogateescape')


def decode(key: bytes) -> str:
    """Returns the text of a key, given as in `product/key`."""
    return key.decode(errors='surrogateescape')


def shown(key: bytes) -> str:
    """Returns the text of a key for tables and pages: valid UTF-8, other bytes are escaped."""
    return printable(normalize(decode(key)))


def printable(text: str) -> str:
    """Returns a text, such as a path, that is valid UTF-8. Other bytes are escaped."""
    return text if text.isascii() else text.encode(errors='backslashreplace').decode()


def product_id(kind: str, text: str) -> int:
    """Returns the number of a key: the same for the same key in every data set.

    63 bits of BLAKE2b over the kind and the key.

    Args:
      kind: One of KINDS. The same text is another key in another kind.
      text: ObjectId: 24 hexadecimal digits. UUID: with hyphens. Path: relative to the root, with
        `/`.

    Raises:
      ValueError: If the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {", ".join(KINDS)}, got {kind!r}')
    return stable_number(kind, text)


def stable_number(kind: str, text: str) -> int:
    """Returns 63 bits of BLAKE2b over a kind and a text in its normal form."""
    digest = hashlib.blake2b(kind.encode() + b':' + encode(text), digest_size=8).digest()
    return int.from_bytes(digest, 'big') & ((1 << _NUMBER_BITS) - 1)


def load_keys(folder: str) -> dict[int, str]:
    """Returns the key of each product of a data set that has one, by its number.

    Raises:
      UserError: If the file is damaged.
    """
    path = storage.join(folder, PRODUCTS)
    if not storage.exists(path):
        return {}
    import pyarrow as pa  # takes a quarter of a second, and most data sets need none
    from pyarrow import parquet

    try:
        data = pa.BufferReader(storage.read_bytes(path))
        table = parquet.read_table(data, columns=['product_id', 'key'])
    except pa.ArrowException as error:
        raise UserError(f'{path}: must be a Parquet file of products, got: {error}') from error
    numbers, keys = (table.column(name).to_pylist() for name in ('product_id', 'key'))
    return {number: key for number, key in zip(numbers, keys, strict=True) if key}


def check_numbers(keys: Iterable[tuple[int, bytes]]) -> None:
    """Checks that no two keys have the same number.

    Args:
      keys: Number and key of each product, as in a record. An integer id has the key b''.

    Raises:
      UserError: Naming two products that share a number. By chance, this happens once in a million
        data sets of four million products.
    """
    found: dict[int, bytes] = {}
    for number, key in keys:
        other = found.setdefault(number, key)
        if other != key:
            pair = ' and '.join(repr(decode(k)) if k else 'an integer _id' for k in (other, key))
            raise UserError(
                f'--input: each product must have a number of its own, but {pair} have the same, '
                f'{number}; rename one of them'
            )
