"""Bytes to pixels, and pixels to what a model was trained on: one rule for training, evaluation
and export. `decode` runs on the host, a picture at a time; `normalize` on the device, by batch.
What training alone does to pictures is in `augmentation`.

Scales a batch of pictures by two matrix products, on any device and under XLA.

The same as `tf.image.resize(antialias=True)`, bilinear, which XLA cannot compile.

JPEG of one size decoded straight into their batch: on the host, not in an exported graph.

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

from trainer.config import ModelConfig
from trainer.config import backbones as families

_JPEG_MAGIC = b'\xff\xd8'
_WHITE = 255  # shop photos stand on white


def decode(encoded: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Decodes one picture: string [] -> uint8 [height, width, 3].

    A picture of another size is scaled to fit, its sides in proportion, and centred on white. JPEG
    is decoded as libjpeg-turbo does by default, bit for bit.

    Raises:
      tf.errors.InvalidArgumentError: if the bytes are not a picture.
    """
    image = tf.cond(
        _is_jpeg(encoded),
        lambda: _decode_jpeg(encoded, ratio=1),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return _sized(image, height=height, width=width)


def _is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    # string [...] -> bool [...]
    return tf.strings.substr(encoded, 0, len(_JPEG_MAGIC)) == _JPEG_MAGIC


def _decode_jpeg(encoded: tf.Tensor, *, ratio: int) -> tf.Tensor:
    return tf.io.decode_jpeg(
        encoded, channels=3, ratio=ratio, dct_method='INTEGER_ACCURATE', fancy_upscaling=True
    )


def _sized(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    # uint8 [h, w, 3] -> [height, width, 3]
    image = tf.cond(
        tf.reduce_all(tf.shape(image) == [height, width, 3]),
        lambda: image,
        lambda: _fit(image, height=height, width=width),
    )
    return tf.ensure_shape(image, [height, width, 3])


def _fit(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    # uint8 [h, w, 3] -> [height, width, 3]
    scaled = tf.image.resize(image, [height, width], preserve_aspect_ratio=True, antialias=True)
    scaled = tf.cast(tf.clip_by_value(tf.round(scaled), 0, _WHITE), tf.uint8)
    missing = tf.constant([height, width]) - tf.shape(scaled)[:2]
    before = missing // 2
    padding = tf.stack([before, missing - before], axis=1)
    return tf.pad(scaled, tf.concat([padding, [[0, 0]]], axis=0), constant_values=_WHITE)


def decode_batch(encoded: tf.Tensor, *, height: int, width: int, ratio: int = 1) -> tf.Tensor:
    """`decode` for each of a batch, in turn: string [B] -> uint8 [B, height, width, 3].

    Args:
      encoded: the pictures.
      height: of what comes out, in pixels.
      width: likewise.
      ratio: 1, 2, 4 or 8: JPEG are decoded at `1 / ratio` of their size, which costs less, then
        sized. Other formats, and every picture of a batch that holds one, are decoded whole.
    """

    def decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
        return _sized(_decode_jpeg(encoded, ratio=ratio), height=height, width=width)

    def decode_any(encoded: tf.Tensor) -> tf.Tensor:
        return decode(encoded, height=height, width=width)

    def each(decode_one: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        return tf.map_fn(
            decode_one,
            encoded,
            fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8),
            parallel_iterations=1,  # the batches are parallel: 20 % fewer CPU-seconds a picture
        )

    all_jpeg = tf.reduce_all(_is_jpeg(encoded))  # asked once: 8 % fewer CPU-seconds a picture
    return tf.cond(all_jpeg, lambda: each(decode_jpeg), lambda: each(decode_any))


def normalize(images: tf.Tensor, config: ModelConfig) -> tf.Tensor:
    """Pixels as the backbone was trained on: uint8 or, mixed, float32 [B, H, W, 3] -> float32."""
    feed = families.family_of(config.name).feed
    pixels = tf.cast(images, tf.float32)
    if feed == families.PIXELS:
        return pixels
    if feed.bgr:
        pixels = tf.reverse(pixels, axis=[-1])
    return (pixels - feed.mean) / feed.scale


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


Images = npt.NDArray[np.uint8]

_ALIGNMENT = 64  # bytes; TensorFlow copies an array that begins elsewhere


def decode_jpeg_batch(
    encoded: tf.Tensor, *, height: int, width: int, otherwise: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Decodes a batch: string [B] -> uint8 [B, height, width, 3].

    Args:
      encoded: the pictures, as records hold them: JPEG are grey or have three channels.
      height: of all, in pixels.
      width: likewise.
      otherwise: decodes a batch in which a picture is damaged, no JPEG or of another size.
    """
    into = functools.partial(_decode_into_batch, height=height, width=width)
    images = tf.numpy_function(into, [encoded], tf.uint8, stateful=False)
    images.set_shape([None, height, width, 3])
    images = tf.cond(
        tf.shape(images)[0] == tf.shape(encoded)[0], lambda: images, lambda: otherwise(encoded)
    )
    return tf.ensure_shape(images, [encoded.shape[0], height, width, 3])


def _decode_into_batch(encoded: npt.NDArray[Any], *, height: int, width: int) -> Images:
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
