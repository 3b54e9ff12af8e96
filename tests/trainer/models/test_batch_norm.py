"""Batch norm with TensorFlow's kernel, against Keras's layer and the formula in numpy."""

import random
from pathlib import Path
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
    norm = batch_norm.training_norm(fused=fused, synchronized=False)
    inner = keras.Sequential(
        [
            keras.Input([6, 5, 3]),
            keras.layers.Conv2D(4, 3, dtype=dtype),
            norm(momentum=0.9, dtype=dtype, **options),
            keras.layers.ReLU(dtype=dtype),
        ],
        name='inner',
    )
    image = keras.Input([6, 5, 3])
    rows = norm()(keras.layers.Flatten()(inner(image)))
    return keras.Model(image, keras.layers.Dense(3)(rows))


def _learned(model: keras.Model) -> list[np.ndarray]:
    """Trains two steps; returns the loss, the gradients and all weights."""

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
def test_a_step_equals_that_of_keras_up_to_rounding(options: dict[str, Any]) -> None:
    theirs, ours = (
        _learned(_model(fused=False, **options)),
        _learned(_model(fused=True, **options)),
    )
    for left, right in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16'])
def test_half_precision_is_normalized_in_float32(policy: str) -> None:
    left, right = (_learned(_model(fused=fused, dtype=policy)) for fused in (False, True))
    for one, other in zip(left, right, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.01)


def test_the_moving_variance_is_the_biased_one() -> None:
    """As in the paper; TensorFlow's kernel returns the unbiased variance."""
    layer = batch_norm.BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input([1, 2, 3]), layer])
    pixels = IMAGES[:2, :1, :2]
    model(pixels, training=True)
    np.testing.assert_allclose(layer.moving_mean, pixels.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, pixels.var((0, 1, 2)), rtol=1e-4)


def test_a_batch_of_one_pixel_has_no_variance() -> None:
    layer = batch_norm.BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input([1, 1, 3]), layer])
    np.testing.assert_array_equal(model(IMAGES[:1, :1, :1], training=True), np.zeros([1, 1, 1, 3]))
    np.testing.assert_array_equal(layer.moving_variance, [0, 0, 0])


def test_predictions_and_weight_paths_are_those_of_keras() -> None:
    plain, fused = _model(fused=False), _model(fused=True)
    np.testing.assert_array_equal(plain(IMAGES), fused(IMAGES))
    paths = [[path for path, _ in weights.weight_paths(model)] for model in (plain, fused)]
    assert paths[0] == paths[1]


def _application(name: str) -> keras.Model:
    keras.utils.set_random_seed(7)
    return getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )


@pytest.mark.parametrize('name', ['MobileNetV2', 'EfficientNetB0', 'DenseNet121'])
def test_replacing_norms_keeps_names_weights_seeds_and_predictions(name: str) -> None:
    theirs = _application(name)
    state = random.getstate()
    ours = batch_norm.replace_norm(theirs, batch_norm.BatchNormalization)
    assert random.getstate() == state  # later layers draw the same seeds
    assert ours.name == theirs.name
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [weight.path for weight in ours.weights] == [weight.path for weight in theirs.weights]
    for left, right in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(left, right)
    kinds = [type(layer) for layer in ours.layers]
    assert batch_norm.BatchNormalization in kinds
    assert keras.layers.BatchNormalization not in kinds
    images = np.random.default_rng(0).uniform(-1, 1, [2, 32, 32, 3]).astype(np.float32)
    np.testing.assert_array_equal(ours(images), theirs(images))


def test_a_replaced_model_restores_the_checkpoint_of_the_original(tmp_path: Path) -> None:
    theirs = _application('MobileNetV2')
    for weight in theirs.weights:
        weight.assign(weight + 1)
    path = tf.train.Checkpoint(model=theirs).write(str(tmp_path / 'checkpoint'))
    ours = batch_norm.replace_norm(_application('MobileNetV2'), batch_norm.BatchNormalization)
    tf.train.Checkpoint(model=ours).read(path).assert_consumed()
    for left, right in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_model_without_batch_norm_is_not_copied() -> None:
    model = _application('VGG16')
    assert batch_norm.replace_norm(model, batch_norm.BatchNormalization) is model


def test_synchronized_norms_compute_over_all_devices() -> None:
    for fused in (False, True):
        layer = batch_norm.training_norm(fused=fused, synchronized=True)()
        assert layer.synchronized
    copy = batch_norm.replace_norm(
        _application('MobileNetV2'), batch_norm.training_norm(fused=True, synchronized=True)
    )
    norms = [x for x in copy.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms
    assert all(layer.synchronized for layer in norms)
