"""The exponential moving average (EMA) of a model's weights, which is evaluated and exported.

Polyak and Juditsky, 1992; in early steps the decay is `min(decay, (1 + step) / (10 + step))`, as in
TensorFlow's ExponentialMovingAverage. Covers all weights, batch norm's moving statistics too.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


def create_averages(model: keras.Model) -> list[tf.Variable]:
    """Creates an average for each of `model.weights`; call it in the strategy's scope."""
    return [tf.Variable(tf.convert_to_tensor(w.value), trainable=False) for w in model.weights]


def update(
    averages: Sequence[tf.Variable],
    model: keras.Model,
    *,
    decay: float,
    step: tf.Tensor,
    strategy: tf.distribute.Strategy,
) -> None:
    """Updates the averages after a step, on every device; call it in the cross-replica context."""
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(decay, (1 + step) / (10 + step))

    def update_one(average: tf.Variable, weight: tf.Tensor) -> None:
        if average.dtype.is_floating:
            average.assign_sub((1 - decay) * (average - weight))
        else:  # a counter is not averaged
            average.assign(weight)

    for average, weight in zip(averages, model.weights, strict=True):
        strategy.extended.update(average, update_one, args=(weight.value,))


def reset(averages: Sequence[tf.Variable], model: keras.Model) -> None:
    """Sets the averages to the weights of the model."""
    for average, weight in zip(averages, model.weights, strict=bool(averages)):
        average.assign(tf.convert_to_tensor(weight.value))


def copy_to_model(averages: Sequence[tf.Variable], model: keras.Model) -> None:
    """Sets the weights of the model to the averages."""
    for average, weight in zip(averages, model.weights, strict=True):
        weight.assign(average.read_value())


@contextlib.contextmanager
def swapped_in(averages: Sequence[tf.Variable], model: keras.Model) -> Iterator[None]:
    """Sets the weights of the model to the averages during the block, if there are averages."""
    if not averages:
        yield
        return
    before = [tf.convert_to_tensor(weight.value) for weight in model.weights]
    copy_to_model(averages, model)
    try:
        yield
    finally:
        for value, weight in zip(before, model.weights, strict=True):
            weight.assign(value)
