"""Finds the JPEG that need no checks in a batch, most of a shop's.

They have libjpeg's usual layout, which has no place for EXIF data: JFIF, two quantisation tables, a
baseline frame, the four standard Huffman tables, a scan (ITU T.81, annex B).
"""

import tensorflow as tf

from catalog.formats.image_header import MAX_PIXELS

_FRAME = 158
_USUAL = {
    0: b'\xff\xd8\xff\xe0\x00\x10',
    20: b'\xff\xdb\x00\x43',
    89: b'\xff\xdb\x00\x43',
    _FRAME: b'\xff\xc0\x00\x11\x08',
    177: b'\xff\xc4\x00\x1f',
    210: b'\xff\xc4\x00\xb5',
    393: b'\xff\xc4\x00\x1f',
    426: b'\xff\xc4\x00\xb5',
    609: b'\xff\xda',
}
_HEAD_BYTES = 611


def are_usual(encoded: tf.Tensor) -> tf.Tensor:
    """Returns which pictures are upright JPEG by their layout: string [N] -> bool [N]."""
    padded = tf.strings.join([encoded, bytes(_HEAD_BYTES)])
    head = tf.io.decode_raw(tf.strings.substr(padded, 0, _HEAD_BYTES), tf.uint8)  # [N, bytes]
    head = tf.ensure_shape(head, [None, _HEAD_BYTES])
    fits = [
        tf.reduce_all(head[:, at : at + len(values)] == tf.constant(list(values), tf.uint8), axis=1)
        for at, values in _USUAL.items()
    ]
    size = tf.cast(head[:, _FRAME + 5 : _FRAME + 9], tf.int64)
    height, width = size[:, 0] * 256 + size[:, 1], size[:, 2] * 256 + size[:, 3]
    return tf.reduce_all(tf.stack(fits), axis=0) & (height * width <= MAX_PIXELS)
