import keras
import numpy as np
import tensorflow as tf

from trainer.optim import ema


def test_weights_are_averaged_and_counters_are_copied() -> None:
    norm = keras.layers.Normalization()  # mean, variance and an integer count
    model = keras.Sequential([keras.Input([3]), norm, keras.layers.Dense(2)])
    # Positive, so that no average is near 0, where the relative rounding error is large.
    model.layers[-1].kernel.assign(np.arange(1, 7).reshape(3, 2) / 8)
    averages = ema.create_averages(model)
    before = [average.numpy() for average in averages]
    for weight in model.weights:
        weight.assign(keras.ops.ones_like(weight))
    strategy = tf.distribute.get_strategy()
    ema.update(averages, model, decay=0.75, step=tf.constant(1000), strategy=strategy)
    for old, average in zip(before, averages, strict=True):
        expected = 0.75 * old + 0.25 if average.dtype.is_floating else 1
        np.testing.assert_allclose(average, expected, rtol=1e-6)
    assert sum(not average.dtype.is_floating for average in averages) == 1
