"""Brightness, contrast, saturation and hue: one linear colour map per image."""

import math

import numpy as np
import tensorflow as tf

from trainer.config.augment import AugmentConfig

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG and Pillow

# Grey and two colour axes, from NTSC; any other orthogonal axes would do.
_TO_YIQ = np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


def _in_rgb(yiq: list[list[int]]) -> tf.Tensor:
    """Returns the RGB matrix of a linear map of YIQ."""
    return tf.constant(np.linalg.inv(_TO_YIQ) @ yiq @ _TO_YIQ, tf.float32)


def jitter(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Jitters colours: uint8 [B, H, W, 3] and float32 [B, 4] in [0, 1) -> uint8 [B, H, W, 3].

    In this order: brightness scales, contrast scales around the mean grey, saturation scales around
    each pixel's grey, hue rotates around it. The result is clipped once, at the end.
    """
    signed = 2 * draws - 1
    brightness, contrast, saturation = (
        1 + amount * signed[:, column]
        for column, amount in enumerate((config.brightness, config.contrast, config.saturation))
    )
    angles = 2 * math.pi * config.hue * signed[:, 3]
    pixels = tf.cast(images, tf.float32)
    mean_grey = tf.tensordot(tf.reduce_mean(tf.reduce_mean(pixels, axis=1), axis=1), GREY, axes=1)
    offsets = brightness * (1 - contrast) * mean_grey  # [B]; the colour map does not change greys
    maps = (brightness * contrast)[:, None, None] * _colour_maps(saturation, angles)
    mapped = sum(pixels[..., i : i + 1] * maps[:, None, None, :, i] for i in range(3))
    return to_uint8(mapped + offsets[:, None, None, None])


def _colour_maps(saturation: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    # float32 [B] each -> [B, 3, 3]; greys are fixed points
    grey = _in_rgb([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    colour = _in_rgb([[0, 0, 0], [0, 1, 0], [0, 0, 1]])
    rotated = _in_rgb([[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    along, across = saturation * tf.cos(angles), saturation * tf.sin(angles)
    return grey + along[:, None, None] * colour + across[:, None, None] * rotated


def to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    """Rounds and clips to [0, 255]: float32 -> uint8."""
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
