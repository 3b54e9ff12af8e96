"""RandAugment: operations drawn for each image, all of one magnitude.

Cubuk et al., 2019, arXiv:1909.13719. Of its 14 operations equalize is left out: the paper finds no
gain from adding it, and its histogram costs more than all the others together.

An image has one operation per round, but a batch has all of them, and each would cost a pass over
the batch. So they are combined: one pass moves pixels, one changes values by
`factor * value + offset + blend`, and the operation of an image decides these parameters.
"""

import math

import tensorflow as tf

from trainer.augmentation import colour, geometry

NAMES = (
    'identity', 'rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y', 'brightness',
    'colour', 'contrast', 'sharpness', 'autocontrast', 'posterize', 'solarize',
)  # fmt: skip

# At magnitude 10, as in AutoAugment (Cubuk et al., 2018, arXiv:1805.09501, table 6).
_ANGLE = math.radians(30)
_SHEAR = 0.3
_MOVE = 150 / 331  # share of a side
_FACTOR = 0.9  # above or below 1
_BITS = 4  # dropped by posterize


def apply(images: tf.Tensor, chosen: tf.Tensor, signs: tf.Tensor, *, magnitude: float) -> tf.Tensor:
    """Applies one round: uint8 [B, H, W, 3] -> uint8 [B, H, W, 3].

    Args:
      images: Images of the batch.
      chosen: Operation of each image, an index into NAMES, int32 [B].
      signs: Direction, -1 or 1, float32 [B].
      magnitude: Strength of all operations, 0 to 10.
    """
    strength = magnitude / 10
    images = _move(images, chosen, signs * strength)
    images = _quantize(images, chosen, strength=strength)
    return _scale(images, chosen, 1 + _FACTOR * strength * signs)


def _is(name: str, chosen: tf.Tensor) -> tf.Tensor:
    return chosen == NAMES.index(name)


def _move(images: tf.Tensor, chosen: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Rotates, shears or translates, around the centre."""
    _, height, width, _ = images.shape

    def amount(name: str, most: float) -> tf.Tensor:
        return tf.where(_is(name, chosen), amounts * most, 0.0)

    angles = amount('rotate', _ANGLE)
    x = [tf.cos(angles), tf.sin(angles) + amount('shear_x', _SHEAR)]
    y = [amount('shear_y', _SHEAR) - tf.sin(angles), tf.cos(angles)]
    moves = [amount('translate_x', _MOVE * width), amount('translate_y', _MOVE * height)]
    matrices = tf.stack([tf.stack(x, axis=1), tf.stack(y, axis=1)], axis=1)
    return geometry.transform(images, matrices, tf.stack(moves, axis=1))


def _quantize(images: tf.Tensor, chosen: tf.Tensor, *, strength: float) -> tf.Tensor:
    """Posterizes, dropping the lowest bits, or solarizes, inverting the brightest values."""
    kept = tf.constant(256 - (1 << round(_BITS * strength)), tf.uint8)
    brightest = min(256 - round(256 * strength), 255)
    inverted = tf.where(images >= tf.constant(brightest, tf.uint8), 255 - images, images)
    posterized = _is('posterize', chosen)[:, None, None, None]
    solarized = _is('solarize', chosen)[:, None, None, None] & (strength > 0)
    images = tf.where(posterized, tf.bitwise.bitwise_and(images, kept), images)
    return tf.where(solarized, inverted, images)


def _scale(images: tf.Tensor, chosen: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Scales values around black, the mean grey, each pixel's grey or the blurred image.

    Autocontrast scales from the darkest value of a channel, so that the brightest becomes 255.
    """
    pixels = tf.cast(images, tf.float32)
    darkest, brightest, mean_grey = _extremes(images)
    is_stretched = _is('autocontrast', chosen)[:, None] & (brightest > darkest)  # [B, 3]
    stretch = 255 / tf.maximum(brightest - darkest, 1)
    names = ('brightness', 'colour', 'contrast', 'sharpness')
    is_factor = tf.reduce_any([_is(name, chosen) for name in names], axis=0)
    factors = tf.where(is_factor, factors, 1.0)[:, None]  # [B, 1]
    offsets = tf.where(_is('contrast', chosen)[:, None], (1 - factors) * mean_grey[:, None], 0.0)
    offsets = tf.where(is_stretched, -darkest * stretch, offsets)[:, None, None, :]
    scales = tf.where(is_stretched, stretch, factors)[:, None, None, :]
    blends = _blends(images, pixels, chosen) * (1 - factors)[:, None, None, :]
    return colour.to_uint8(scales * pixels + offsets + blends)


def _extremes(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the minimum and maximum of each channel, float32 [B, 3], and the mean grey [B]."""
    # One axis at a time: XLA is faster over the long inner rows.
    darkest = tf.reduce_min(tf.reduce_min(images, axis=1), axis=1)
    brightest = tf.reduce_max(tf.reduce_max(images, axis=1), axis=1)
    mean = tf.reduce_mean(tf.reduce_mean(tf.cast(images, tf.float32), axis=1), axis=1)
    mean_grey = tf.round(tf.tensordot(mean, colour.GREY, axes=1))
    return tf.cast(darkest, tf.float32), tf.cast(brightest, tf.float32), mean_grey


def _blends(images: tf.Tensor, pixels: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Returns the image that `colour` and `sharpness` scale around, float32 [B, H, W, 3], or 0."""
    grey = tf.reduce_sum(pixels * colour.GREY, axis=-1, keepdims=True)
    is_colour = _is('colour', chosen)[:, None, None, None]
    is_sharpness = _is('sharpness', chosen)[:, None, None, None]
    return tf.where(is_colour, grey, 0.0) + tf.where(is_sharpness, _blur(images), 0.0)


def _blur(images: tf.Tensor) -> tf.Tensor:
    """Blurs with weight 5 for a pixel and 1 for its eight neighbours, over 13: Pillow's SMOOTH."""
    values = tf.cast(images, tf.int16)
    padded = tf.pad(values, [[0, 0], [1, 1], [1, 1], [0, 0]], 'SYMMETRIC')
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    summed = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * values
    return tf.cast(summed, tf.float32) / 13
