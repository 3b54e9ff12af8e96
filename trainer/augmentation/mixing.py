"""Two pictures in one, and their labels: mixup and cutmix.

Mixup blends (Zhang et al., 2017, arXiv:1710.09412); cutmix lays a rectangle of one over the other
(Yun et al., 2019, arXiv:1905.04899). The papers draw a partner in the batch, and one share for all
of it. Here a picture's partner is its neighbour, 0 and 1, 2 and 3 and so on, and each picture has a
share of its own: so a device needs nothing of another's part, and the pictures are the same on any
number of devices. Batches are shuffled: neighbours are as good as any.
"""

import tensorflow as tf

from trainer.augmentation import draws as drawing
from trainer.augmentation import geometry
from trainer.config.augment import AugmentConfig
from trainer.losses.objective import MixedLabels


def mix(
    images: tf.Tensor, labels: tf.Tensor, draws: tf.Tensor, config: AugmentConfig
) -> tuple[tf.Tensor, MixedLabels]:
    """Mixes a batch: uint8 [B, H, W, 3], B even, int64 [B] and `draws` [B, n].

    Returns:
      pictures float32 [B, H, W, 3], and their labels; as they were where the config mixes none.
    """
    if not config.mixes:
        return images, MixedLabels(labels)
    own = tf.cast(images, tf.float32)
    others = _neighbours(own)
    shares = _shares(draws, config, height=images.shape[1], width=images.shape[2])
    mixed = shares[..., None] * own + (1 - shares[..., None]) * others
    return mixed, MixedLabels(labels, _neighbours(labels), tf.reduce_mean(shares, axis=[1, 2]))


def _neighbours(values: tf.Tensor) -> tf.Tensor:
    """Each row's neighbour in its stead: [0, 1, 2, 3] -> [1, 0, 3, 2]."""
    rows = tf.range(values.shape[0])
    return tf.gather(values, rows + 1 - 2 * (rows % 2))


def _shares(draws: tf.Tensor, config: AugmentConfig, *, height: int, width: int) -> tf.Tensor:
    """How much of each pixel is the picture's own, float32 [B, H, W]."""
    blended = covered = None
    if config.mixup:
        share = drawing.of('mixup', draws, config)[:, :, None]  # [B, 1, 1]
        blended = tf.broadcast_to(share, [draws.shape[0], height, width])
    choice, y, x = tf.unstack(drawing.of('mix', draws, config), axis=1)
    if config.cutmix:
        side = tf.sqrt(1 - drawing.of('cutmix', draws, config)[:, 0])
        boxes = tf.stack([y - side / 2, x - side / 2, side, side], axis=1)  # about a centre
        inside = geometry.within(boxes, height=height, width=width)
        covered = tf.where(inside, 0.0, 1.0)
    if blended is None or covered is None:
        return covered if blended is None else blended
    return tf.where(choice[:, None, None] < 0.5, blended, covered)
