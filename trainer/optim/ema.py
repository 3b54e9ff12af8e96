"""The exponential mean of a model's weights, which is evaluated and exported in their place.

Polyak and Juditsky, 1992; early steps count less by `min(decay, (1 + step) / (10 + step))`, as in
TensorFlow's ExponentialMovingAverage. All weights, the moving figures of batch norm too.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


def make(model: keras.Model) -> list[tf.Variable]:
    """A mean for each of `model.weights`; make it in the strategy's scope."""
    return [tf.Variable(tf.convert_to_tensor(w.value), trainable=False) for w in model.weights]


def update(
    means: Sequence[tf.Variable],
    model: keras.Model,
    *,
    decay: float,
    step: tf.Tensor,
    strategy: tf.distribute.Strategy,
) -> None:
    """Moves the means by one step, on every device for itself; not in a replica's context."""
    step = tf.cast(step, tf.float32)
    kept = tf.minimum(decay, (1 + step) / (10 + step))

    def move(mean: tf.Variable, weight: tf.Tensor) -> None:
        if mean.dtype.is_floating:
            mean.assign_sub((1 - kept) * (mean - weight))
        else:  # a count has no mean
            mean.assign(weight)

    for mean, weight in zip(means, model.weights, strict=True):
        strategy.extended.update(mean, move, args=(weight.value,))


def restart(means: Sequence[tf.Variable], model: keras.Model) -> None:
    """Gives the weights of the model to the means."""
    for mean, weight in zip(means, model.weights, strict=bool(means)):
        mean.assign(tf.convert_to_tensor(weight.value))


def take_over(means: Sequence[tf.Variable], model: keras.Model) -> None:
    """Gives the means to the model."""
    for mean, weight in zip(means, model.weights, strict=True):
        weight.assign(mean.read_value())


@contextlib.contextmanager
def in_place_of_weights(means: Sequence[tf.Variable], model: keras.Model) -> Iterator[None]:
    """Gives the means to the model while the block runs; nothing where there are none."""
    if not means:
        yield
        return
    before = [tf.convert_to_tensor(weight.value) for weight in model.weights]
    take_over(means, model)
    try:
        yield
    finally:
        for value, weight in zip(before, model.weights, strict=True):
            weight.assign(value)
