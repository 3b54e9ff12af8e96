"""A tf.Example's bytes by hand, so that each picture is copied once to be encoded.

The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), for what is
in our records: features of bytes and of int64. Integers are packed and map entries in the order of
their keys, as TensorFlow's own classes write them; the tests compare every byte.
"""

import functools
from collections.abc import Sequence

# Field numbers, with the wire type "a length and as many bytes". They are those of
# tensorflow/core/example/{example,feature}.proto.
_FIRST = b'\x0a'  # Example.features, Features.feature, FeatureEntry.key, .bytes_list, .value
_SECOND = b'\x12'  # FeatureEntry.value
_THIRD = b'\x1a'  # Feature.int64_list

_BYTE = tuple(bytes([number]) for number in range(0x80))


def example(before: bytes, name: str, values: Sequence[bytes], after: bytes) -> bytes:
    """An Example with a feature of bytes.

    Args:
      before: entries of the features whose names come before `name`, as `numbers` gives them.
      name: of the feature of bytes.
      values: of this feature.
      after: entries of the features whose names come after `name`.
    """
    pieces = [b'']
    length = 0
    for value in values:
        size = len(value)
        head = _head(_FIRST, size)
        pieces += (head, value)
        length += len(head) + size
    # From the inside out: feature, entry, features, example.
    head = _head(_FIRST, length)
    head = _key(name) + _head(_SECOND, len(head) + length) + head
    head = before + _head(_FIRST, len(head) + length) + head
    pieces[0] = _head(_FIRST, len(head) + length + len(after)) + head
    pieces.append(after)
    return b''.join(pieces)


@functools.lru_cache(1 << 16)  # lengths come again and again
def _head(tag: bytes, length: int) -> bytes:
    return tag + varint(length)


def number(name: str, value: int) -> bytes:
    """The entry of a feature of one int64."""
    packed = varint(value)
    return _before_numbers(name, len(packed)) + packed


def numbers(name: str, values: Sequence[int]) -> bytes:
    """The entry of a feature of int64."""
    packed = b''.join(map(varint, values))
    return _before_numbers(name, len(packed)) + packed


@functools.cache
def _before_numbers(name: str, length: int) -> bytes:
    """What comes before the packed values of a feature, from the inside out."""
    head = _FIRST + varint(length)
    head = _THIRD + varint(len(head) + length) + head
    head = _key(name) + _SECOND + varint(len(head) + length) + head
    return _FIRST + varint(len(head) + length) + head


@functools.cache
def _key(name: str) -> bytes:
    encoded = name.encode()
    return _FIRST + varint(len(encoded)) + encoded


def varint(number: int) -> bytes:
    """An int64 in groups of seven bits, the lowest first; if negative, its two's complement."""
    if 0 <= number < 0x80:
        return _BYTE[number]
    number &= 0xFFFFFFFFFFFFFFFF
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
