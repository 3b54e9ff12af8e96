import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import LossConfig
from trainer.data.data_set import DataInfo
from trainer.losses import priors as loss
from trainer.losses import softmax


def _info(pictures: tuple[int, ...], natural: tuple[float, ...]) -> DataInfo:
    return DataInfo(
        digest='', num_classes=len(pictures), examples_per_class=pictures, natural_prior=natural
    )


def _losses(
    logits: np.ndarray, labels: np.ndarray, *, shift: np.ndarray, label_smoothing: float = 0.0
) -> np.ndarray:
    shifted = tf.constant(logits, tf.float32) + np.asarray(shift, np.float32)
    return softmax.cross_entropy(
        tf.nn.log_softmax(shifted), tf.constant(labels), label_smoothing=label_smoothing
    ).numpy()


@pytest.mark.parametrize('label_smoothing', [0.0, 0.1])
def test_the_loss_without_a_shift_is_keras_own(label_smoothing: float) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 7)), rng.integers(0, 7, 50)
    expected = keras.losses.categorical_crossentropy(
        keras.ops.one_hot(labels, 7),
        logits.astype(np.float32),
        from_logits=True,
        label_smoothing=label_smoothing,
    )
    found = _losses(logits, labels, shift=np.zeros(7), label_smoothing=label_smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_uniform_target_is_balanced_softmax() -> None:
    """Ren et al., equation 4: the exponentials weighed by the counts of the classes."""
    counts, labels = np.array([999_999, 9_999, 99]), np.array([0, 1, 2, 2])
    logits = np.random.default_rng(1).normal(size=(4, 3))
    priors = loss.priors(_info(tuple(counts), (0.5, 0.3, 0.2)), LossConfig(target_power=0.0))
    shift = loss.training_shift(priors.written, target=priors.target)
    found = _losses(logits, labels, shift=shift)
    weighed = (counts + 1) * np.exp(logits)
    expected = -np.log(weighed[range(4), labels] / weighed.sum(axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_shards_with_the_natural_prior_need_no_shift() -> None:
    priors = loss.priors(_info((700, 200, 100), (0.7, 0.2, 0.1)), LossConfig())
    shift = loss.training_shift(priors.written, target=priors.target)
    np.testing.assert_allclose(shift, 0, atol=1e-6)


def test_a_target_between_has_a_prior_between() -> None:
    info = _info((500, 500), (0.9, 0.1))
    shares = [
        loss.priors(info, LossConfig(target_power=power)).target[0] for power in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_allclose(shares, [0.5, 0.75, 0.9], atol=0.003)


@pytest.mark.parametrize('power', [0.0, 1.0])
def test_a_model_of_balanced_data_answers_with_its_target_prior(power: float) -> None:
    """One feature says nothing: the best constant logits are those of the target prior."""
    info = _info((4000, 4000, 2000), (0.8, 0.15, 0.05))
    config = LossConfig(target_power=power)
    priors = loss.priors(info, config)
    shift = loss.training_shift(priors.written, target=priors.target)
    labels = np.repeat([0, 1, 2], [4000, 4000, 2000])
    logits = tf.Variable(tf.zeros([1, 3]))
    optimizer = keras.optimizers.SGD(1.0)
    for _ in range(500):
        with tf.GradientTape() as tape:
            shifted = tf.repeat(logits + shift, len(labels), axis=0)
            losses = softmax.cross_entropy(tf.nn.log_softmax(shifted), tf.constant(labels))
            mean = tf.reduce_mean(losses)
        optimizer.apply_gradients([(tape.gradient(mean, logits), logits)])
    expected = [1 / 3, 1 / 3, 1 / 3] if power == 0 else [0.8, 0.15, 0.05]
    np.testing.assert_allclose(tf.nn.softmax(logits)[0], expected, atol=0.003)


def test_serving_with_another_prior_is_bayes_rule() -> None:
    trained, wanted = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    logits = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    posterior = tf.nn.softmax(logits).numpy() / trained * wanted
    expected = posterior / posterior.sum(axis=1, keepdims=True)
    shifted = loss.serving_logits(tf.constant(logits), trained=trained, wanted=wanted)
    np.testing.assert_allclose(tf.nn.softmax(shifted), expected, rtol=1e-5)


def test_a_class_without_pictures_has_a_small_prior_and_finite_losses() -> None:
    priors = loss.priors(_info((900, 98, 0), (0.9, 0.1, 0.0)), LossConfig())
    assert priors.written.min() == pytest.approx(1 / 1001)
    assert priors.target.min() == pytest.approx(1 / 1001)
    shift = loss.training_shift(priors.written, target=priors.target)
    assert np.isfinite(shift).all()
    assert shift[2] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(_losses(np.zeros((1, 3)), np.array([2]), shift=shift)).all()
