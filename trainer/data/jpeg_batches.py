"""JPEG of one size decoded straight into their batch: on the host, not in an exported graph.

TensorFlow's decoder makes a tensor of each picture, to be copied into the batch: an eighth of the
time. libjpeg-turbo itself, by simplejpeg, writes where it is told, and gives the same pixels. Some
4 us a picture hold Python's lock, the 95 of decoding do not.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
import tensorflow as tf

Images = npt.NDArray[np.uint8]

_ALIGNMENT = 64  # bytes; TensorFlow copies an array that begins elsewhere


def decode(
    encoded: tf.Tensor, *, height: int, width: int, otherwise: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Decodes a batch: string [B] -> uint8 [B, height, width, 3].

    Args:
      encoded: the pictures, as records hold them: JPEG are grey or have three channels.
      height: of all, in pixels.
      width: likewise.
      otherwise: decodes a batch in which a picture is damaged, no JPEG or of another size.
    """
    into = functools.partial(_decode, height=height, width=width)
    images = tf.numpy_function(into, [encoded], tf.uint8, stateful=False)
    images.set_shape([None, height, width, 3])
    images = tf.cond(
        tf.shape(images)[0] == tf.shape(encoded)[0], lambda: images, lambda: otherwise(encoded)
    )
    return tf.ensure_shape(images, [encoded.shape[0], height, width, 3])


def _decode(encoded: npt.NDArray[Any], *, height: int, width: int) -> Images:
    """The pictures of a batch, or none where one of them is not as it should be."""
    images = _aligned(len(encoded), height, width, 3)
    for data, image in zip(encoded, images, strict=True):
        try:
            decoded = simplejpeg.decode_jpeg(data, 'RGB', buffer=image)
        except ValueError:  # no JPEG, a damaged one, or a larger one
            return images[:0]
        if decoded.shape != image.shape:  # a smaller one
            return images[:0]
    return images


def _aligned(*shape: int) -> Images:
    memory = np.empty(math.prod(shape) + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : memory.size - _ALIGNMENT + start].reshape(shape)
