import keras
import numpy as np
import tensorflow as tf

from trainer.optim import ema as averages


def test_weights_have_means_and_counts_are_copied() -> None:
    norm = keras.layers.Normalization()  # mean, variance and a whole number: how many it saw
    model = keras.Sequential([keras.Input([3]), norm, keras.layers.Dense(2)])
    # Positive, so that no mean is near 0, where rounding is a large part of it.
    model.layers[-1].kernel.assign(np.arange(1, 7).reshape(3, 2) / 8)
    means = averages.make(model)
    before = [mean.numpy() for mean in means]
    for weight in model.weights:
        weight.assign(keras.ops.ones_like(weight))
    strategy = tf.distribute.get_strategy()
    averages.update(means, model, decay=0.75, step=tf.constant(1000), strategy=strategy)
    for old, mean in zip(before, means, strict=True):
        expected = 0.75 * old + 0.25 if mean.dtype.is_floating else 1
        np.testing.assert_allclose(mean, expected, rtol=1e-6)
    assert sum(not mean.dtype.is_floating for mean in means) == 1
