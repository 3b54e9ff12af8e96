r"""Benchmarks each augmentation under XLA on the CPU, relative to the flip.

Examples:
  python -m benchmarks.augment

Augments uint8 batches in memory and normalizes them to floats, as a train step does. Contenders
take turns for several rounds. The best round of each counts, because it is the least disturbed by
other processes. `keras RandAugment` is Keras's layer with two operations in a tf.function: it draws
them per batch and does not compile under XLA.
"""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from catalog import command_line
from trainer.augmentation.mixing import mix
from trainer.augmentation.pictures import augment
from trainer.augmentation.random_numbers import draw
from trainer.config import AugmentConfig, ModelConfig
from trainer.data import preprocess

_SIZES = flags.DEFINE_multi_integer('size', [180, 28], 'Image height and width in pixels.')
_BATCH = flags.DEFINE_integer('batch', 128, 'Pictures per batch.', lower_bound=2)
_ROUNDS = flags.DEFINE_integer('rounds', 20, 'Rounds.', lower_bound=1)

Augment = Callable[[tf.Tensor], tf.Tensor]

_OFF = {'flip': False}
CONTENDERS = {
    'flip': {},
    'nothing': _OFF,
    'crop=pad': {**_OFF, 'crop': 'pad'},
    'crop=resized': {**_OFF, 'crop': 'resized'},
    'brightness, contrast, saturation, hue': {
        **_OFF, 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.1,
    },
    'rand_augment_ops=1': {**_OFF, 'rand_augment_ops': 1},
    'rand_augment_ops=2': {**_OFF, 'rand_augment_ops': 2},
    'erase': {**_OFF, 'erase': 0.25},
    'mixup': {**_OFF, 'mixup': 0.2},
    'cutmix': {**_OFF, 'cutmix': 1.0},
    'all of them': {
        'crop': 'resized', 'rand_augment_ops': 2, 'brightness': 0.4, 'contrast': 0.4,
        'saturation': 0.4, 'hue': 0.1, 'erase': 0.25, 'mixup': 0.2, 'cutmix': 1.0,
    },
}  # fmt: skip


def ours(config: AugmentConfig) -> Augment:
    """Builds augmentation and normalization as in the compiled step, including its draws."""
    labels = tf.zeros([_BATCH.value], tf.int64)

    @tf.function(jit_compile=True)
    def floats(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        images, _ = mix(images, labels, draws, config)
        return preprocess.normalize(images, ModelConfig())

    @tf.function
    def run(images: tf.Tensor) -> tf.Tensor:
        draws = draw(_BATCH.value, seed=tf.constant([0, 1]), config=config)
        return floats(augment(images, draws, config), draws)

    return run


def keras_rand_augment() -> Augment:
    """Builds Keras's layer with the strength of our default."""
    layer = keras.layers.RandAugment(num_ops=2, factor=0.9)

    @tf.function
    def run(images: tf.Tensor) -> tf.Tensor:
        varied = layer(tf.cast(images, tf.float32), training=True)
        return preprocess.normalize(varied, ModelConfig())

    return run


def measure(contenders: dict[str, Augment], images: tf.Tensor) -> dict[str, float]:
    """Returns the pictures per second of each contender in its best round."""
    for run in contenders.values():
        run(images)  # compiles
    best = dict.fromkeys(contenders, float('inf'))
    for _ in range(_ROUNDS.value):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(images)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: _BATCH.value / seconds for name, seconds in best.items()}


def table(rates: dict[str, float], *, size: int) -> str:
    """Formats the rates as a table."""
    lines = [f'| {size}x{size} | pictures/s | relative to flip |', '|---|---|---|']
    flip = rates['flip']
    lines += [f'| {name} | {rate:,.0f} | {rate / flip:.2f} |' for name, rate in rates.items()]
    return '\n'.join(lines) + '\n'


def main(argv: list[str]) -> None:
    """Measures and prints a table."""
    del argv
    for size in _SIZES.value:
        shape = [_BATCH.value, size, size, 3]
        images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        contenders = {name: ours(AugmentConfig(**config)) for name, config in CONTENDERS.items()}
        contenders['keras RandAugment'] = keras_rand_augment()
        print(table(measure(contenders, tf.constant(images)), size=size))


if __name__ == '__main__':
    command_line.run(main)
