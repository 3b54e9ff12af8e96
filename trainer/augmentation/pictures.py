"""The augmentation of single images, in the order of the config.

XLA compiles each operation on its own: if several were in one program, XLA would compute a pixel of
the first again for each pixel of the next that reads it.
"""

import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

from trainer.augmentation import colour, geometry, rand_augment, random_numbers
from trainer.config.augment import AugmentConfig

# Zhong et al., 2017, section 4.
_ERASED_AREA = (0.02, 0.4)
_ERASED_ASPECT = (0.3, 1 / 0.3)
_CROPPED_ASPECT = (3 / 4, 4 / 3)  # Szegedy et al., 2014

Operation = Callable[[tf.Tensor, tf.Tensor, AugmentConfig], tf.Tensor]


def augment(
    images: tf.Tensor,
    draws: tf.Tensor,
    config: AugmentConfig,
    *,
    size: tuple[int, int] | None = None,
) -> tf.Tensor:
    """Augments a batch: uint8 [B, H, W, 3] and random numbers [B, n] -> uint8 [B, H, W, 3].

    Runs without XLA if B is not static, because XLA would compile for each B.

    Args:
      images: The images.
      draws: Random numbers from `random_numbers.draw`.
      config: The augmentation.
      size: Height and width of the result of the crop `resized`; None for those of the images.
    """
    compiled = images.shape[0] is not None
    for operation, numbers in _operations(draws, config, size=size or images.shape[1:3]):
        one = tf.function(operation, jit_compile=True, autograph=False) if compiled else operation
        images = one(images, numbers, config)
    return images


def _operations(
    draws: tf.Tensor, config: AugmentConfig, *, size: tuple[int, int]
) -> Iterator[tuple[Operation, tf.Tensor]]:
    """Yields the operations that are on, with their random numbers."""
    if config.crop != 'none':
        yield functools.partial(_crop, size=size), random_numbers.columns('crop', draws, config)
    if config.flip:
        yield _flip, random_numbers.columns('flip', draws, config)
    for number in range(config.rand_augment_ops):
        columns = slice(2 * number, 2 * number + 2)
        yield _rand_augment, random_numbers.columns('rand_augment', draws, config)[:, columns]
    if config.colours:
        yield colour.jitter, random_numbers.columns('colour', draws, config)
    if config.erase:
        yield _erase, random_numbers.columns('erase', draws, config)


def _flip(images: tf.Tensor, draws: tf.Tensor, _: AugmentConfig) -> tf.Tensor:
    return geometry.flip(images, draws[:, 0] < 0.5)


def _crop(
    images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig, *, size: tuple[int, int]
) -> tf.Tensor:
    if config.crop == 'pad':
        return geometry.crop_padded(images, draws, padding=config.crop_padding)
    boxes = geometry.random_boxes(draws, area=(config.crop_area, 1.0), aspect=_CROPPED_ASPECT)
    return geometry.crop_resized(images, boxes, size=size)


def _rand_augment(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    chosen = tf.cast(draws[:, 0] * len(rand_augment.NAMES), tf.int32)
    signs = tf.where(draws[:, 1] < 0.5, -1.0, 1.0)
    return rand_augment.apply(images, chosen, signs, magnitude=config.rand_augment_magnitude)


def _erase(images: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    boxes = geometry.random_boxes(draws[:, 1:5], area=_ERASED_AREA, aspect=_ERASED_ASPECT)
    boxes = tf.where(draws[:, :1] < config.erase, boxes, 0.0)
    return geometry.erase(images, boxes, draws[:, 5:])
