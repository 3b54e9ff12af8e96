"""EXIF orientation: reads it, and turns an image upright (EXIF 2.32, section 4.6)."""

import tensorflow as tf

from trainer.pixels import byte_vector

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12


def read(exif: tf.Tensor) -> tf.Tensor:
    """Returns the orientation of EXIF data, as `catalog.formats.exif` does.

    Args:
      exif: uint8 [n], with or without the prefix `Exif`.

    Returns:
      int64 [], 1 to 8; 1 for damaged data.
    """
    exif = tf.concat([exif, tf.zeros(byte_vector.PADDING, tf.uint8)], axis=0)
    prefixed = byte_vector.equals(byte_vector.window(exif, 0, 6), b'Exif\0\0')
    tiff = exif[tf.where(prefixed, 6, 0) :]
    magic = byte_vector.window(tiff, 0, 4)
    little = byte_vector.equals(magic, b'II*\0')
    valid = little | byte_vector.equals(magic, b'MM\0*')

    def unsigned(values: tf.Tensor) -> tf.Tensor:  # int64 [..., n] -> int64 [...]
        powers = tf.constant([1 << 8 * place for place in range(values.shape[-1])], tf.int64)
        return tf.reduce_sum(values * tf.where(little, powers, tf.reverse(powers, [0])), axis=-1)

    at = unsigned(byte_vector.window(tiff, 4, 4))
    size = byte_vector.size(tiff)
    valid &= at + 2 <= size
    at = tf.minimum(at, tf.maximum(size - 2, 0))
    entries = unsigned(byte_vector.window(tiff, at, 2))
    entries = tf.clip_by_value((size - at - 2) // _ENTRY_BYTES, 0, entries)
    table = tf.slice(tiff, [at + 2], [entries * _ENTRY_BYTES])
    table = tf.cast(tf.reshape(table, [-1, _ENTRY_BYTES]), tf.int64)
    found = (unsigned(table[:, 0:2]) == _ORIENTATION) & (unsigned(table[:, 2:4]) == _SHORT)
    values = tf.boolean_mask(unsigned(table[:, 8:10]), found)
    value = tf.concat([values, [1]], axis=0)[0]
    return tf.where(valid & (value >= 1) & (value <= 8), value, tf.ones_like(value))


def apply(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image upright: [h, w, C] -> [h, w, C], or [w, h, C] for orientations from 5 on."""

    def turn() -> tf.Tensor:
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        columns = tf.reduce_any(orientation == [2, 3, 6, 7])
        turned = tf.cond(columns, lambda: tf.reverse(turned, [1]), lambda: turned)
        rows = tf.reduce_any(orientation == [3, 4, 7, 8])
        return tf.cond(rows, lambda: tf.reverse(turned, [0]), lambda: turned)

    return tf.cond(orientation == 1, lambda: image, turn)
