"""Serializes tf.Example without message classes, so that each picture is copied only once.

Writes the protocol buffer wire format (https://protobuf.dev/programming-guides/encoding) of the two
kinds of features in a record: bytes and int64. Integers are packed and map entries are sorted by
key, as TensorFlow's own classes write them. The tests compare every byte.
"""

import functools
import itertools
from collections.abc import Sequence, Sized

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

# Field tags of tensorflow/core/example/{example,feature}.proto, with wire type LEN.
_FIRST = b'\x0a'  # Example.features, Features.feature, FeatureEntry.key, .bytes_list, .value
_SECOND = b'\x12'  # FeatureEntry.value
_THIRD = b'\x1a'  # Feature.int64_list

_BYTE = tuple(bytes([number]) for number in range(0x80))


def examples(
    before: Sequence[bytes], name: str, values: Sequence[Sequence[bytes]], after: Sequence[bytes]
) -> list[bytes]:
    """Serializes examples with a bytes feature. One by one, they would cost four times as much.

    Args:
      before: For each example, the serialized features whose names sort before `name`.
      name: The name of the bytes feature.
      values: For each example, the values of the bytes feature.
      after: For each example, the serialized features whose names sort after `name`.
    """
    flat = list(itertools.chain.from_iterable(values))
    value_heads = varints(_sizes(flat))
    ends = np.cumsum(_sizes(values))
    total = np.append(0, np.cumsum(1 + _sizes(value_heads) + _sizes(flat)))
    key = _key(name)
    # From the inside out: feature, entry, features, example.
    inside = np.diff(total[ends], prepend=0)
    feature = varints(inside)
    inside += 1 + _sizes(feature)
    entry = varints(inside)
    inside += len(key) + 1 + _sizes(entry)
    features = varints(inside)
    inside += 1 + _sizes(features) + _sizes(before) + _sizes(after)
    heads = zip(varints(inside), before, features, entry, feature, strict=True)
    pieces = list(itertools.chain.from_iterable(zip(itertools.repeat(_FIRST), value_heads, flat)))
    cuts = itertools.pairwise([0, *(3 * ends).tolist()])
    return [
        b''.join((_FIRST, a, b, _FIRST, c, key, _SECOND, d, _FIRST, e, *pieces[begin:end], last))
        for (a, b, c, d, e), (begin, end), last in zip(heads, cuts, after, strict=True)
    ]


def _sizes(values: Sequence[Sized]) -> Int64s:
    return np.fromiter(map(len, values), np.int64, len(values))


def number(name: str, value: int) -> bytes:
    """Serializes a feature of one int64 as a map entry."""
    return numbers(name, [value])


def number_of_each(name: str, values: Int64s) -> list[bytes]:
    """Serializes a feature of one int64 for many examples, each as a map entry."""
    return [_before_numbers(name, len(packed)) + packed for packed in varints(values)]


def numbers(name: str, values: Sequence[int]) -> bytes:
    """Serializes a feature of int64 values as a map entry."""
    packed = b''.join(map(varint, values))
    return _before_numbers(name, len(packed)) + packed


def text(name: str, value: bytes) -> bytes:
    """Serializes a feature of one byte string as a map entry."""
    made = _FIRST + varint(len(value)) + value
    for tag in (_FIRST, _SECOND):  # the list, the feature
        made = tag + varint(len(made)) + made
    made = _key(name) + made
    return _FIRST + varint(len(made)) + made


@functools.cache
def _before_numbers(name: str, length: int) -> bytes:
    """Returns the bytes before the packed values of a feature, built from the inside out."""
    head = _FIRST + varint(length)
    head = _THIRD + varint(len(head) + length) + head
    head = _key(name) + _SECOND + varint(len(head) + length) + head
    return _FIRST + varint(len(head) + length) + head


@functools.cache
def _key(name: str) -> bytes:
    encoded = name.encode()
    return _FIRST + varint(len(encoded)) + encoded


def varint(number: int) -> bytes:
    """Encodes an int64 in groups of seven bits, lowest first; a negative as two's complement."""
    if 0 <= number < 0x80:
        return _BYTE[number]
    number &= 0xFFFFFFFFFFFFFFFF
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def varints(numbers: Int64s) -> list[bytes]:
    """Encodes many numbers, each as `varint` does."""
    values = numbers.astype(np.uint64)
    groups = max(-(-int(values.max(initial=0)).bit_length() // 7), 1)
    rest = values[:, None] >> 7 * np.arange(groups, dtype=np.uint64)  # [N, groups]
    found = (rest & 0x7F | (rest > 0x7F) * np.uint64(0x80)).astype(np.uint8)
    # NumPy strips trailing zeros from byte strings, as a varint has none, except 0 itself.
    return [packed or _BYTE[0] for packed in found.view(f'S{groups}').ravel().tolist()]
