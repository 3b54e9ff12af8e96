from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.models import batch_norm, weights

IMAGES = np.random.default_rng(0).normal(50, 9, [8, 6, 5, 3]).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def _model(*, fused: bool, dtype: str = 'float32', **options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    inner = keras.Sequential(
        [
            keras.Input([6, 5, 3]),
            keras.layers.Conv2D(4, 3, dtype=dtype),
            keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, **options),
            keras.layers.ReLU(dtype=dtype),
        ],
        name='inner',
    )
    image = keras.Input([6, 5, 3])
    rows = keras.layers.BatchNormalization()(keras.layers.Flatten()(inner(image)))
    model = keras.Model(image, keras.layers.Dense(3)(rows))
    if fused:
        batch_norm.fuse(model)
    return model


def _learned(model: keras.Model) -> list[np.ndarray]:
    """What two steps leave: the loss, the gradients, the weights and moving figures."""

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = model(IMAGES, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
            weight.assign_sub(0.1 * gradient)
        return loss, gradients

    step()
    loss, gradients = step()
    return [value.numpy() for value in [loss, *gradients, *model.weights]]


@pytest.mark.parametrize(
    'options', [{}, {'scale': False}, {'center': False}, {'epsilon': 1e-6}, {'trainable': False}]
)
def test_a_step_is_that_of_keras_to_rounding(options: dict[str, Any]) -> None:
    keras_s, ours = (
        _learned(_model(fused=False, **options)),
        _learned(_model(fused=True, **options)),
    )
    for left, right in zip(keras_s, ours, strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16'])
def test_half_precision_normalises_in_full(policy: str) -> None:
    left, right = (_learned(_model(fused=fused, dtype=policy)) for fused in (False, True))
    for one, other in zip(left, right, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.01)


def test_the_moving_variance_is_that_of_the_pixels() -> None:
    """By the paper's formula in numpy, not by Bessel's, which TensorFlow's kernel gives."""
    layer = keras.layers.BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input([1, 2, 3]), layer])
    batch_norm.fuse(model)
    pixels = IMAGES[:2, :1, :2]
    model(pixels, training=True)
    np.testing.assert_allclose(layer.moving_mean, pixels.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, pixels.var((0, 1, 2)), rtol=1e-4)


def test_a_batch_of_one_pixel_has_no_variance() -> None:
    layer = keras.layers.BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input([1, 1, 3]), layer])
    batch_norm.fuse(model)
    np.testing.assert_array_equal(model(IMAGES[:1, :1, :1], training=True), np.zeros([1, 1, 1, 3]))
    np.testing.assert_array_equal(layer.moving_variance, [0, 0, 0])


def test_the_answers_the_weights_and_their_paths_stay() -> None:
    plain, fused = _model(fused=False), _model(fused=True)
    np.testing.assert_array_equal(plain(IMAGES), fused(IMAGES))
    paths = [[path for path, _ in weights.weight_paths(model)] for model in (plain, fused)]
    assert paths[0] == paths[1]
