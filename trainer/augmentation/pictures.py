"""What becomes of the pictures of a batch, each by itself, in the order of the config."""

import tensorflow as tf

from trainer.augment_config import AugmentConfig
from trainer.augmentation import colour, geometry, rand_augment
from trainer.augmentation import draws as drawing

# Zhong et al., 2017, section 4: of the area that is erased, and its sides.
_ERASED_AREA = (0.02, 0.4)
_ERASED_ASPECT = (0.3, 1 / 0.3)
_CROPPED_ASPECT = (3 / 4, 4 / 3)  # Szegedy et al., 2014


def augment(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Varies a batch: uint8 [B, H, W, 3] and float32 [B, n] of `draws` -> uint8 [B, H, W, 3]."""
    if config.crop != 'none':
        images = _cropped(images, drawing.of('crop', draws, config), config)
    if config.flip:
        images = geometry.flip(images, drawing.of('flip', draws, config)[:, 0] < 0.5)
    if config.rand_augment_ops:
        images = _rand_augmented(images, drawing.of('rand_augment', draws, config), config)
    if config.colours:
        images = colour.jitter(images, drawing.of('colour', draws, config), config)
    if config.erase:
        images = _erased(images, drawing.of('erase', draws, config), config)
    return images


def _cropped(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    if config.crop == 'pad':
        return geometry.crop_padded(images, draws, padding=config.crop_padding)
    boxes = geometry.boxes(draws, area=(config.crop_area, 1.0), aspect=_CROPPED_ASPECT)
    return geometry.crop_resized(images, boxes)


def _rand_augmented(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    magnitude = config.rand_augment_magnitude
    for operation, sign in zip(*[iter(tf.unstack(draws, axis=1))] * 2, strict=True):
        chosen = tf.cast(operation * len(rand_augment.NAMES), tf.int32)
        signs = tf.where(sign < 0.5, -1.0, 1.0)
        images = rand_augment.apply(images, chosen, signs, magnitude=magnitude)
    return images


def _erased(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    boxes = geometry.boxes(draws[:, 1:5], area=_ERASED_AREA, aspect=_ERASED_ASPECT)
    boxes = tf.where(draws[:, :1] < config.erase, boxes, 0.0)
    return geometry.erase(images, boxes, draws[:, 5:])
