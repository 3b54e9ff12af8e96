import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import ModelConfig
from trainer.models import heads

MAP = np.random.default_rng(0).gamma(2.0, 1.0, (3, 4, 5, 6)).astype(np.float32)


def _head(**fields: object) -> keras.Model:
    inputs = keras.Input(MAP.shape[1:])
    return keras.Model(inputs, heads.features(inputs, ModelConfig(**fields)))


@pytest.mark.parametrize(
    ('pooling', 'expected'),
    [
        ('average', MAP.mean((1, 2))),
        ('max', MAP.max((1, 2))),
        ('flatten', MAP.reshape(3, -1)),
        ('gem', np.cbrt((MAP.astype(np.float64) ** 3).mean((1, 2)))),
    ],
)
def test_each_pooling_equals_its_formula(pooling: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(_head(pooling=pooling)(MAP), expected, rtol=1e-5)


def test_the_generalized_mean_is_the_mean_at_1_and_approaches_the_maximum() -> None:
    scaled = MAP / MAP.max((1, 2), keepdims=True)  # so that a power of 400 is finite
    for power, expected in [(1.0, scaled.mean((1, 2))), (400.0, scaled.max((1, 2)))]:
        np.testing.assert_allclose(heads.GeneralizedMean(power=power)(scaled), expected, rtol=0.02)


def test_the_generalized_mean_learns_its_power() -> None:
    head = _head(pooling='gem')
    (power,) = head.trainable_variables
    assert power.numpy() == 3.0
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(head(MAP))
    step = 1e-3
    found = tape.gradient(total, power.value).numpy()

    def total_at(p: float) -> float:
        return ((MAP.astype(np.float64) ** p).mean((1, 2)) ** (1 / p)).sum()

    np.testing.assert_allclose(
        found, (total_at(3 + step) - total_at(3 - step)) / (2 * step), rtol=1e-3
    )


def test_the_generalized_mean_clips_values_that_are_not_positive() -> None:
    x = tf.constant([[[[-5.0, 0.0]], [[2.0, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        pooled = heads.GeneralizedMean()(x)
    np.testing.assert_allclose(pooled, [[(8 / 2) ** (1 / 3), 0]], atol=1e-5)
    assert np.isfinite(tape.gradient(pooled, x)).all()


def test_the_generalized_mean_does_not_overflow_in_half_precision() -> None:
    keras.config.set_dtype_policy('mixed_float16')
    try:
        head = _head(pooling='gem')
    finally:
        keras.config.set_dtype_policy('float32')
    np.testing.assert_allclose(head(np.full_like(MAP, 100.0)), 100.0, rtol=1e-3)  # 1e6 > 65504


def test_the_convolution_of_the_thesis_is_between_two_norms() -> None:
    head = _head(pooling='flatten', head_norm=True, head_channels=7)
    assert head.output_shape == (None, 4 * 5 * 7)
    rng = np.random.default_rng(1)
    head.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in head.weights])
    names = ['gamma', 'beta', 'mean', 'variance']
    first = dict(zip(names, head.get_layer('head_norm').get_weights(), strict=True))
    kernel, bias = head.get_layer('head_conv').get_weights()
    second = dict(zip(names, head.get_layer('head_conv_norm').get_weights(), strict=True))

    def normalized(x: np.ndarray, norm: dict[str, np.ndarray]) -> np.ndarray:
        scale = norm['gamma'] / np.sqrt(norm['variance'] + 1e-3)
        return (x - norm['mean']) * scale + norm['beta']

    expected = normalized(normalized(MAP, first) @ kernel[0, 0] + bias, second)
    np.testing.assert_allclose(head(MAP), expected.reshape(3, -1), rtol=1e-4, atol=1e-4)


def test_dropout_drops_its_share_in_training_only() -> None:
    head = _head(pooling='flatten', dropout=0.25)
    np.testing.assert_array_equal(head(MAP), MAP.reshape(3, -1))
    keras.utils.set_random_seed(0)
    dropped = np.asarray(head(np.ones([50, 4, 5, 6], np.float32), training=True)) == 0
    assert 0.2 < dropped.mean() < 0.3


def test_a_cosine_layer_computes_cosines_whatever_the_norms() -> None:
    features = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    inputs = keras.Input([8])
    config = ModelConfig(last_layer='cosine', cosine_scale=30.0)
    model = keras.Model(inputs, heads.logits(inputs, config, num_classes=3))
    kernel = model.get_weights()[0]
    norms = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(model(features), 30 * features @ kernel / norms, rtol=1e-5)
    np.testing.assert_allclose(model(7 * features), model(features), rtol=1e-4)


def test_a_cosine_layer_has_finite_gradients_at_0() -> None:
    inputs = keras.Input([8])
    config = ModelConfig(last_layer='cosine')
    model = keras.Model(inputs, heads.logits(inputs, config, num_classes=3))
    features = tf.zeros([2, 8])
    with tf.GradientTape() as tape:
        tape.watch(features)
        total = tf.reduce_sum(model(features) ** 2 + model(features))
    assert all(
        np.isfinite(gradient).all()
        for gradient in tape.gradient(total, [features, *model.trainable_weights])
    )
