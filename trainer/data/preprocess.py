"""Bytes to pixels, and pixels to what a model was trained on: one rule for training, evaluation
and export.

`decode` and its batch forms run on the host; `resize` and `normalize` on the device, by batch. What
training alone does to images is in `augmentation`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
import tensorflow as tf

from trainer.config import ModelConfig, backbones
from trainer.pixels import decoding, usual_jpeg

_JPEG_MAGIC = b'\xff\xd8'
_WHITE = 255  # the background of product photos
_ALIGNMENT = 64  # bytes; TensorFlow copies an array that begins elsewhere

Images = npt.NDArray[np.uint8]
Decoded = tuple[tf.Tensor, tf.Tensor]  # images, and whether each picture is decodable


def decode(encoded: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Decodes one picture: string [] -> uint8 [height, width, 3].

    Its pixels are those that `catalog.pixels` defines: upright, on white. An image of another size
    is scaled to fit, with its aspect ratio, and centred on white.

    Raises:
      tf.errors.InvalidArgumentError: If the bytes are not an image that `trainer.pixels` decodes.
    """
    return _fit_to_size(decoding.decode(encoded), height=height, width=width)


def _is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    # string [...] -> bool [...]
    return tf.strings.substr(encoded, 0, len(_JPEG_MAGIC)) == _JPEG_MAGIC


def _fit_to_size(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    # uint8 [h, w, 3] -> [height, width, 3]
    image = tf.cond(
        tf.reduce_all(tf.shape(image) == [height, width, 3]),
        lambda: image,
        lambda: _letterbox(image, height=height, width=width),
    )
    return tf.ensure_shape(image, [height, width, 3])


def _letterbox(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    # uint8 [h, w, 3] -> [height, width, 3]
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.reduce_min(tf.constant([height, width], tf.float32) / sides)
    # A side of a thin picture would be rounded to zero.
    fitted = tf.maximum(tf.cast(tf.round(scale * sides), tf.int32), 1)
    scaled = tf.image.resize(image, fitted, antialias=True)
    scaled = tf.cast(tf.clip_by_value(tf.round(scaled), 0, _WHITE), tf.uint8)
    missing = tf.constant([height, width]) - tf.shape(scaled)[:2]
    before = missing // 2
    padding = tf.stack([before, missing - before], axis=1)
    return tf.pad(scaled, tf.concat([padding, [[0, 0]]], axis=0), constant_values=_WHITE)


def decode_batch(encoded: tf.Tensor, *, height: int, width: int, ratio: int = 1) -> tf.Tensor:
    """Decodes a batch of a shard: string [B] -> uint8 [B, height, width, 3].

    As `decode` decodes each picture, but the JPEG of a shard are upright and need no checks.

    Args:
      encoded: The encoded pictures.
      height: Height of the images returned, in pixels.
      width: Width of the images returned, in pixels.
      ratio: 1, 2, 4 or 8. JPEG are decoded at `1 / ratio` of their size, which costs less, then
        fitted. A batch that holds another format is decoded at full size.
    """

    def decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
        return _fit_to_size(decoding.decode_jpeg(encoded, ratio=ratio), height=height, width=width)

    def decode_any(encoded: tf.Tensor) -> tf.Tensor:
        return decode(encoded, height=height, width=width)

    def each(decode_one: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        return tf.map_fn(
            decode_one,
            encoded,
            fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8),
            parallel_iterations=1,  # the batches are parallel: 20 % fewer CPU-seconds a picture
        )

    all_jpeg = tf.reduce_all(_is_jpeg(encoded))  # checked once: 8 % fewer CPU-seconds a picture
    return tf.cond(all_jpeg, lambda: each(decode_jpeg), lambda: each(decode_any))


def decode_any_batch(encoded: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Decodes pictures from anywhere, as `decode` does: string [N] -> uint8 [N, height, width, 3].

    A batch that holds only JPEG of the usual layout takes a quarter of the time.
    """

    def each(read: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        return tf.map_fn(
            lambda one: _fit_to_size(read(one), height=height, width=width),
            encoded,
            fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8),
        )

    return tf.cond(
        tf.reduce_all(usual_jpeg.are_usual(encoded)),
        lambda: each(decoding.decode_jpeg),
        lambda: each(decoding.decode),
    )


def normalize(images: tf.Tensor, config: ModelConfig) -> tf.Tensor:
    """Scales pixels as the backbone was trained: uint8 or float32 [B, H, W, 3] -> float32."""
    feed = backbones.family_of(config.name).feed
    pixels = tf.cast(images, tf.float32)
    if feed == backbones.PIXELS:
        return pixels
    if feed.bgr:
        pixels = tf.reverse(pixels, axis=[-1])
    return (pixels - feed.mean) / feed.scale


def resize(images: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Resizes images: any dtype [B, h, w, C] -> float32 [B, height, width, C].

    Two matrix products that equal `tf.image.resize(antialias=True)`, bilinear, which XLA cannot
    compile. Images that have
    the size already keep their pixels.
    """
    pixels = tf.cast(images, tf.float32)
    if images.shape[1:3] == (height, width):
        return pixels
    down = tf.constant(_resize_weights(images.shape[1], height))
    across = tf.constant(_resize_weights(images.shape[2], width))
    return tf.einsum('yh,bhwc,xw->byxc', down, pixels, across)


def _resize_weights(before: int, after: int) -> npt.NDArray[np.float32]:
    """Returns the weight of each old pixel of a line in each new one [after, before].

    The kernel is a triangle, two old pixels wide, or two new ones if these are larger.
    """
    step = before / after
    centres = (np.arange(after)[:, np.newaxis] + 0.5) * step
    distances = np.abs(np.arange(before) + 0.5 - centres) / max(step, 1.0)
    kernel = np.maximum(1 - distances, 0)
    kernel /= kernel.sum(axis=1, keepdims=True)
    weights: npt.NDArray[np.float32] = kernel.astype(np.float32)
    return weights


def decode_jpeg_batch(
    encoded: tf.Tensor, *, height: int, width: int, fallback: Callable[[tf.Tensor], Decoded]
) -> Decoded:
    """Decodes JPEG of one size into their batch: string [B] -> uint8 [B, height, width, 3].

    For the host, not for an exported graph. TensorFlow's decoder makes a tensor of each picture and
    then copies it into the batch, an eighth of the time. libjpeg-turbo, by simplejpeg, writes into
    the batch and gives the same pixels. About 4 us of a picture hold Python's lock, the 95 us of
    decoding do not.

    Args:
      encoded: The pictures as records hold them: JPEG are grey or have three channels.
      height: Height of all images, in pixels.
      width: Width of all images, in pixels.
      fallback: Decodes a batch in which a picture is damaged, not JPEG, or of another size.

    Returns:
      The images, and whether each picture is decodable, bool [B].
    """
    decode_all = functools.partial(_decode_into_batch, height=height, width=width)
    images = tf.numpy_function(decode_all, [encoded], tf.uint8, stateful=False)
    images.set_shape([None, height, width, 3])
    images, decodable = tf.cond(
        tf.shape(images)[0] == tf.shape(encoded)[0],
        lambda: (images, tf.ones(tf.shape(encoded), tf.bool)),
        lambda: fallback(encoded),
    )
    size = encoded.shape[0]
    return (
        tf.ensure_shape(images, [size, height, width, 3]),
        tf.ensure_shape(decodable, [size]),
    )


def _decode_into_batch(encoded: npt.NDArray[Any], *, height: int, width: int) -> Images:
    """Returns the images of a batch, or an empty batch if one needs the fallback."""
    images = _empty_aligned(len(encoded), height, width, 3)
    for data, image in zip(encoded, images, strict=True):
        try:
            decoded = simplejpeg.decode_jpeg(data, 'RGB', buffer=image)
        except ValueError:  # not JPEG, damaged, or larger
            return images[:0]
        if decoded.shape != image.shape:  # smaller
            return images[:0]
    return images


def _empty_aligned(*shape: int) -> Images:
    memory = np.empty(math.prod(shape) + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : memory.size - _ALIGNMENT + start].reshape(shape)
