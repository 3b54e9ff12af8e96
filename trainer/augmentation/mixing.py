"""Mixup and cutmix: two images in one, and their labels.

Mixup blends two images (Zhang et al., 2017, arXiv:1710.09412); cutmix pastes a box of one into the
other (Yun et al., 2019, arXiv:1905.04899). The papers draw partners from the batch and one share
for the batch. Here the partner of an image is its neighbour (0 and 1, 2 and 3, and so on), and each
image has its own share: no device needs images of another, and the result is the same on any number
of devices. Batches are shuffled, so a neighbour is as good as a random partner.
"""

import tensorflow as tf

from trainer.augmentation import geometry, random_numbers
from trainer.config.augment import AugmentConfig
from trainer.losses.objective import MixedLabels


def mix(
    images: tf.Tensor, labels: tf.Tensor, draws: tf.Tensor, config: AugmentConfig
) -> tuple[tf.Tensor, MixedLabels]:
    """Mixes the images of a batch.

    Args:
      images: uint8 [B, H, W, 3], B even.
      labels: int64 [B].
      draws: Random numbers of the batch, float32 [B, n].
      config: The `augment` part of the run's config.

    Returns:
      Mixed images, float32 [B, H, W, 3], or `images` if the config does not mix; their labels.
    """
    if not config.mixes:
        return images, MixedLabels(labels)
    own = tf.cast(images, tf.float32)
    partners = _neighbours(own)
    shares = _shares(draws, config, height=images.shape[1], width=images.shape[2])
    mixed = shares[..., None] * own + (1 - shares[..., None]) * partners
    return mixed, MixedLabels(labels, _neighbours(labels), tf.reduce_mean(shares, axis=[1, 2]))


def _neighbours(values: tf.Tensor) -> tf.Tensor:
    """Swaps neighbouring rows: [0, 1, 2, 3] -> [1, 0, 3, 2]."""
    rows = tf.range(values.shape[0])
    return tf.gather(values, rows + 1 - 2 * (rows % 2))


def _shares(draws: tf.Tensor, config: AugmentConfig, *, height: int, width: int) -> tf.Tensor:
    """Returns the share of the own image in each pixel, float32 [B, H, W]."""
    blended = covered = None
    if config.mixup:
        share = random_numbers.columns('mixup', draws, config)[:, :, None]  # [B, 1, 1]
        blended = tf.broadcast_to(share, [draws.shape[0], height, width])
    choice, y, x = tf.unstack(random_numbers.columns('mix', draws, config), axis=1)
    if config.cutmix:
        side = tf.sqrt(1 - random_numbers.columns('cutmix', draws, config)[:, 0])
        boxes = tf.stack([y - side / 2, x - side / 2, side, side], axis=1)  # around (y, x)
        inside = geometry.box_mask(boxes, height=height, width=width)
        covered = tf.where(inside, 0.0, 1.0)
    if blended is None or covered is None:
        return covered if blended is None else blended
    return tf.where(choice[:, None, None] < 0.5, blended, covered)
