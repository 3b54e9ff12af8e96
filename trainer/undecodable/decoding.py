"""Decodes batches in which a picture may be undecodable.

A picture is undecodable if TensorFlow's decoder refuses it. (libjpeg-turbo only warns of some
damage, and then gives an image.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

DecodeBatch = Callable[[tf.Tensor], tf.Tensor]
Decoded = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]

_WHITE = 255


def decode_decodable(
    encoded: tf.Tensor, decode: DecodeBatch, *, height: int, width: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a batch; an undecodable picture becomes a white image.

    For the host, not for an exported graph: a graph cannot catch an error. A batch without an
    undecodable picture is decoded by one call, another picture by picture.

    Args:
      encoded: string [N].
      decode: Decodes a batch: string [N] -> uint8 [N, height, width, 3].
      height: Height of the images, in pixels.
      width: Width of the images, in pixels.

    Returns:
      Images, uint8 [N, height, width, 3]; whether each picture is decodable, bool [N].
    """
    compiled = tf.function(decode, input_signature=[tf.TensorSpec([None], tf.string)])

    def decode_all(pictures: npt.NDArray[Any]) -> Decoded:
        try:
            return _call(compiled, pictures), np.ones(len(pictures), np.bool_)
        except tf.errors.InvalidArgumentError:
            return _decode_each(compiled, pictures, shape=(height, width, 3))

    images, decodable = tf.numpy_function(
        decode_all, [encoded], [tf.uint8, tf.bool], stateful=False
    )
    size = encoded.shape[0]
    return (
        tf.ensure_shape(images, [size, height, width, 3]),
        tf.ensure_shape(decodable, [size]),
    )


def _decode_each(
    decode: DecodeBatch, pictures: npt.NDArray[Any], *, shape: tuple[int, ...]
) -> Decoded:
    images = np.full([len(pictures), *shape], _WHITE, np.uint8)
    decodable = np.zeros(len(pictures), np.bool_)
    for row in range(len(pictures)):
        try:
            images[row] = _call(decode, pictures[row : row + 1])[0]
        except tf.errors.InvalidArgumentError:
            continue
        decodable[row] = True
    return images, decodable


def _call(decode: DecodeBatch, pictures: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    with tf.device('cpu:0'):  # as all of the input, also where there is a GPU
        images: npt.NDArray[np.uint8] = decode(tf.constant(pictures, tf.string)).numpy()
    return images
