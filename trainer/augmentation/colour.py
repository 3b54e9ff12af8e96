"""Brightness, contrast, saturation and hue: one linear map of the colours of each picture."""

import math

import numpy as np
import tensorflow as tf

from trainer.config.augment import AugmentConfig

GREY = (0.299, 0.587, 0.114)  # of ITU-R BT.601, which JPEG and Pillow take

# Greyness and two axes of colour, of NTSC; only that they stand upright on one another counts.
_TO_YIQ = np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


def _in_rgb(yiq: list[list[int]]) -> tf.Tensor:
    """A map of YIQ as one of RGB."""
    return tf.constant(np.linalg.inv(_TO_YIQ) @ yiq @ _TO_YIQ, tf.float32)


def jitter(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Changes colours: uint8 [B, H, W, 3] and float32 [B, 4] in [0, 1) -> uint8 [B, H, W, 3].

    In this order: brightness scales, contrast stretches from the mean grey, saturation stretches
    from each pixel's grey, hue turns around it. What is too bright or too dark at the end is cut.
    """
    either_way = 2 * draws - 1
    brightness, contrast, saturation = (
        1 + amount * either_way[:, column]
        for column, amount in enumerate((config.brightness, config.contrast, config.saturation))
    )
    angles = 2 * math.pi * config.hue * either_way[:, 3]
    pixels = tf.cast(images, tf.float32)
    mean_grey = tf.tensordot(tf.reduce_mean(tf.reduce_mean(pixels, axis=1), axis=1), GREY, axes=1)
    lifted = brightness * (1 - contrast) * mean_grey  # [B]; a grey, which the map leaves as it is
    maps = (brightness * contrast)[:, None, None] * _colour_maps(saturation, angles)
    mapped = sum(pixels[..., i : i + 1] * maps[:, None, None, :, i] for i in range(3))
    return to_uint8(mapped + lifted[:, None, None, None])


def _colour_maps(saturation: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    # float32 [B] each -> [B, 3, 3], of which greys stay as they are
    grey = _in_rgb([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    colour = _in_rgb([[0, 0, 0], [0, 1, 0], [0, 0, 1]])
    turned = _in_rgb([[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    along, across = saturation * tf.cos(angles), saturation * tf.sin(angles)
    return grey + along[:, None, None] * colour + across[:, None, None] * turned


def to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    """Rounds and cuts to 0 to 255: float32 -> uint8."""
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
