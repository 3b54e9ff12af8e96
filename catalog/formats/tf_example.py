"""A tf.Example's bytes by hand, so that each picture is copied once to be encoded.

The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), for what is
in our records: features of bytes and of int64. Integers are packed and map entries in the order of
their keys, as TensorFlow's own classes write them; the tests compare every byte.
"""

import functools
import itertools
from collections.abc import Sequence, Sized

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

# Field numbers, with the wire type "a length and as many bytes". They are those of
# tensorflow/core/example/{example,feature}.proto.
_FIRST = b'\x0a'  # Example.features, Features.feature, FeatureEntry.key, .bytes_list, .value
_SECOND = b'\x12'  # FeatureEntry.value
_THIRD = b'\x1a'  # Feature.int64_list

_BYTE = tuple(bytes([number]) for number in range(0x80))


def examples(
    before: Sequence[bytes], name: str, values: Sequence[Sequence[bytes]], after: Sequence[bytes]
) -> list[bytes]:
    """Examples with a feature of bytes; many at once, as one by one they cost four times as much.

    Args:
      before: of each, the entries of the features whose names come before `name`, as `numbers`
        gives them.
      name: of the feature of bytes.
      values: of this feature of each.
      after: of each, the entries of the features whose names come after `name`.
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
    """The entry of a feature of one int64."""
    return numbers(name, [value])


def number_of_each(name: str, values: Int64s) -> list[bytes]:
    """The entry of a feature of one int64, of many examples."""
    return [_before_numbers(name, len(packed)) + packed for packed in varints(values)]


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


def varints(numbers: Int64s) -> list[bytes]:
    """`varint` of many numbers at once."""
    values = numbers.astype(np.uint64)
    groups = max(-(-int(values.max(initial=0)).bit_length() // 7), 1)
    rest = values[:, None] >> 7 * np.arange(groups, dtype=np.uint64)  # [N, groups]
    found = (rest & 0x7F | (rest > 0x7F) * np.uint64(0x80)).astype(np.uint8)
    # What numpy takes for strings ends before its last zeros, as varints do; but 0 is one zero.
    return [packed or _BYTE[0] for packed in found.view(f'S{groups}').ravel().tolist()]
