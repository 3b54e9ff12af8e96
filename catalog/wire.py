"""A tf.Example's bytes by hand, in pieces, so that a picture is never copied to be encoded.

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


def example(before: bytes, name: str, values: Sequence[bytes], after: bytes) -> list[bytes]:
    """An Example with a feature of bytes, in pieces; each value is a piece.

    Args:
      before: entries of the features whose names come before `name`, as `numbers` gives them.
      name: of the feature of bytes.
      values: of this feature.
      after: entries of the features whose names come after `name`.
    """
    pieces = [b'']
    length = 0
    for value in values:
        head = _FIRST + varint(len(value))
        pieces += (head, value)
        length += len(head) + len(value)
    # From the inside out: feature, entry, features, example.
    head = _FIRST + varint(length)
    head = _key(name) + _SECOND + varint(len(head) + length) + head
    head = before + _FIRST + varint(len(head) + length) + head
    pieces[0] = _FIRST + varint(len(head) + length + len(after)) + head
    pieces.append(after)
    return pieces


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
    if 0 <= number < 0x4000:  # as most lengths
        return bytes((number & 0x7F | 0x80, number >> 7))
    number &= 0xFFFFFFFFFFFFFFFF
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
