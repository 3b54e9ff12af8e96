"""The random numbers of augmentation: a row per image, columns by operation.

They are drawn for the global batch, so the augmentation of an image does not depend on its device.
Each operation has its own seed: switching one on does not change the numbers of the others.
"""

import tensorflow as tf

from trainer.config.augment import AugmentConfig

_OPERATIONS = ('flip', 'crop', 'rand_augment', 'colour', 'erase', 'mixup', 'cutmix', 'mix')
_BETA = ('mixup', 'cutmix')  # the others are uniform in [0, 1)


def draw(count: int, *, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Draws the random numbers of `count` images, float32 [count, n]. `seed`: int [2]."""
    drawn = [
        _drawn(name, [count, width], seed=seed, config=config)
        for name, width in _widths(config).items()
    ]
    return tf.concat([tf.zeros([count, 0]), *drawn], axis=1)


def columns(name: str, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Selects the columns of an operation that is on: [B, n] -> [B, k]."""
    widths = _widths(config)
    names = list(widths)
    start = sum(widths[before] for before in names[: names.index(name)])
    return draws[:, start : start + widths[name]]


def _widths(config: AugmentConfig) -> dict[str, int]:
    """Returns the number of columns of each operation that is on."""
    widths = {
        'flip': int(config.flip),
        'crop': {'none': 0, 'pad': 2, 'resized': 4}[config.crop],
        'rand_augment': 2 * config.rand_augment_ops,
        'colour': 4 * config.colours,
        'erase': 8 * bool(config.erase),
        'mixup': int(config.mixup > 0),
        'cutmix': int(config.cutmix > 0),
        'mix': 3 * config.mixes,
    }
    return {name: width for name, width in widths.items() if width}


def _drawn(name: str, shape: list[int], *, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    seed = tf.random.experimental.stateless_fold_in(seed, _OPERATIONS.index(name))
    if name not in _BETA:
        return tf.random.stateless_uniform(shape, seed)
    alpha = tf.constant(getattr(config, name), tf.float64)
    # In float64: in float32 both gammas can underflow to 0.
    gammas = tf.random.stateless_gamma([2, *shape], seed, alpha, dtype=tf.float64)
    return tf.cast(tf.math.divide_no_nan(gammas[0], gammas[0] + gammas[1]), tf.float32)
