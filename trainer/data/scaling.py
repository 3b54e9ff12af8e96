"""Scales a batch of pictures by two matrix products, on any device and under XLA.

The same as `tf.image.resize(antialias=True)`, bilinear, which XLA cannot compile.
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf


def scaled(images: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Pixels of any type [B, h, w, C] -> float32 [B, height, width, C]; of its size, unchanged."""
    pixels = tf.cast(images, tf.float32)
    if images.shape[1:3] == (height, width):
        return pixels
    down = tf.constant(_weights(images.shape[1], height))
    across = tf.constant(_weights(images.shape[2], width))
    return tf.einsum('yh,bhwc,xw->byxc', down, pixels, across)


def _weights(before: int, after: int) -> npt.NDArray[np.float32]:
    """What each old pixel of a line is worth in each new one: a triangle about its place, as wide
    as two old pixels, or two new ones where these are larger: [after, before].
    """
    step = before / after
    centres = (np.arange(after)[:, np.newaxis] + 0.5) * step
    distances = np.abs(np.arange(before) + 0.5 - centres) / max(step, 1.0)
    worth = np.maximum(1 - distances, 0)
    worth /= worth.sum(axis=1, keepdims=True)
    weights: npt.NDArray[np.float32] = worth.astype(np.float32)
    return weights
