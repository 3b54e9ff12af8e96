"""What becomes of the pictures of a batch, each by itself, in the order of the config.

Each operation is compiled by XLA, and by itself: of several in one program, XLA computes a pixel of
the first anew for each pixel of the next that looks at it.
"""

from collections.abc import Callable, Iterator

import tensorflow as tf

from trainer.augmentation import colour, geometry, rand_augment
from trainer.augmentation import draws as drawing
from trainer.config.augment import AugmentConfig

# Zhong et al., 2017, section 4: of the area that is erased, and its sides.
_ERASED_AREA = (0.02, 0.4)
_ERASED_ASPECT = (0.3, 1 / 0.3)
_CROPPED_ASPECT = (3 / 4, 4 / 3)  # Szegedy et al., 2014


Operation = Callable[[tf.Tensor, tf.Tensor, AugmentConfig], tf.Tensor]


def augment(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Varies a batch: uint8 [B, H, W, 3] and float32 [B, n] of `draws` -> uint8 [B, H, W, 3].

    Where B is not known beforehand nothing is compiled: XLA would do so for each B.
    """
    compiled = images.shape[0] is not None
    for operation, numbers in _operations(draws, config):
        one = tf.function(operation, jit_compile=True, autograph=False) if compiled else operation
        images = one(images, numbers, config)
    return images


def _operations(draws: tf.Tensor, config: AugmentConfig) -> Iterator[tuple[Operation, tf.Tensor]]:
    """The operations that are on, and their numbers."""
    if config.crop != 'none':
        yield _cropped, drawing.of('crop', draws, config)
    if config.flip:
        yield _flipped, drawing.of('flip', draws, config)
    for number in range(config.rand_augment_ops):
        columns = slice(2 * number, 2 * number + 2)
        yield _rand_augmented, drawing.of('rand_augment', draws, config)[:, columns]
    if config.colours:
        yield colour.jitter, drawing.of('colour', draws, config)
    if config.erase:
        yield _erased, drawing.of('erase', draws, config)


def _flipped(images: tf.Tensor, draws: tf.Tensor, _: AugmentConfig) -> tf.Tensor:
    return geometry.flip(images, draws[:, 0] < 0.5)


def _cropped(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    if config.crop == 'pad':
        return geometry.crop_padded(images, draws, padding=config.crop_padding)
    boxes = geometry.boxes(draws, area=(config.crop_area, 1.0), aspect=_CROPPED_ASPECT)
    return geometry.crop_resized(images, boxes)


def _rand_augmented(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    chosen = tf.cast(draws[:, 0] * len(rand_augment.NAMES), tf.int32)
    signs = tf.where(draws[:, 1] < 0.5, -1.0, 1.0)
    return rand_augment.apply(images, chosen, signs, magnitude=config.rand_augment_magnitude)


def _erased(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    boxes = geometry.boxes(draws[:, 1:5], area=_ERASED_AREA, aspect=_ERASED_ASPECT)
    boxes = tf.where(draws[:, :1] < config.erase, boxes, 0.0)
    return geometry.erase(images, boxes, draws[:, 5:])
