"""Reads integers from the bytes of a file, in TensorFlow's operations.

A byte vector is a uint8 [n] that ends in zeros which the file does not have, so that a field may
reach beyond the end of a truncated file: it reads as zero.
"""

import tensorflow as tf

PADDING = 64  # bytes; more than any field

_CHARACTERS = tuple(bytes([value]) for value in range(256))


def read(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the bytes of a string with padding: string [] -> uint8 [n + PADDING]."""
    return tf.io.decode_raw(tf.strings.join([encoded, bytes(PADDING)]), tf.uint8)


def size(data: tf.Tensor) -> tf.Tensor:
    """Returns the size of the file, int64 []."""
    return tf.size(data, tf.int64) - PADDING


def window(data: tf.Tensor, at: tf.Tensor | int, length: int) -> tf.Tensor:
    """Returns some bytes, int64 [length]; those behind the end are zeros."""
    at = tf.clip_by_value(tf.cast(at, tf.int64), 0, size(data))
    return tf.cast(tf.slice(data, [at], [length]), tf.int64)


def number(values: tf.Tensor, *, little: bool = False) -> tf.Tensor:
    """Returns bytes as an unsigned number: int64 [n] -> int64 []."""
    powers = [1 << 8 * place for place in range(values.shape[0])]
    return tf.reduce_sum(values * tf.constant(powers if little else powers[::-1], tf.int64))


def equals(values: tf.Tensor, text: bytes) -> tf.Tensor:
    """Returns whether bytes are those of a text: int64 [n] -> bool []."""
    return tf.reduce_all(values == tf.constant(list(text), tf.int64))


def to_string(values: tf.Tensor) -> tf.Tensor:
    """Returns bytes as a string: int64 [n] -> string []."""
    return tf.strings.reduce_join(tf.gather(tf.constant(_CHARACTERS), values))


def to_little_endian(value: tf.Tensor, length: int) -> tf.Tensor:
    """Returns a number as `length` bytes: int64 [] -> string []."""
    powers = tf.constant([1 << 8 * place for place in range(length)], tf.int64)
    return to_string(value // powers & 0xFF)


def replace(encoded: tf.Tensor, at: tf.Tensor, new: tf.Tensor, length: int) -> tf.Tensor:
    """Replaces `length` bytes of a string."""
    at = tf.cast(at, tf.int32)
    end = tf.strings.substr(encoded, at + length, -1 + (1 << 31))
    return tf.strings.join([tf.strings.substr(encoded, 0, at), new, end])
