import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import LossConfig
from trainer.data.data_set import DataInfo
from trainer.losses import softmax
from trainer.losses.priors import compute_priors, prior_shift


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
def test_the_loss_without_a_shift_equals_that_of_keras(label_smoothing: float) -> None:
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


def test_the_uniform_target_equals_balanced_softmax() -> None:
    """Ren et al., equation 4: the exponentials are weighted by the class counts."""
    counts, labels = np.array([999_999, 9_999, 99]), np.array([0, 1, 2, 2])
    logits = np.random.default_rng(1).normal(size=(4, 3))
    priors = compute_priors(_info(tuple(counts), (0.5, 0.3, 0.2)), LossConfig(target_power=0.0))
    shift = prior_shift(priors.target, target=priors.written)
    found = _losses(logits, labels, shift=shift)
    weighted = (counts + 1) * np.exp(logits)
    expected = -np.log(weighted[range(4), labels] / weighted.sum(axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_shards_with_the_natural_prior_have_no_shift() -> None:
    priors = compute_priors(_info((700, 200, 100), (0.7, 0.2, 0.1)), LossConfig())
    shift = prior_shift(priors.target, target=priors.written)
    np.testing.assert_allclose(shift, 0, atol=1e-6)


def test_a_target_power_between_0_and_1_interpolates_the_priors() -> None:
    info = _info((500, 500), (0.9, 0.1))
    shares = [
        compute_priors(info, LossConfig(target_power=power)).target[0] for power in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_allclose(shares, [0.5, 0.75, 0.9], atol=0.003)


@pytest.mark.parametrize('power', [0.0, 1.0])
def test_a_model_trained_on_balanced_data_predicts_with_its_target_prior(power: float) -> None:
    """Without features, the best constant logits are those of the target prior."""
    info = _info((4000, 4000, 2000), (0.8, 0.15, 0.05))
    config = LossConfig(target_power=power)
    priors = compute_priors(info, config)
    shift = prior_shift(priors.target, target=priors.written)
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


def test_shifted_logits_follow_bayes_rule() -> None:
    trained_for, target = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    logits = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    posterior = tf.nn.softmax(logits).numpy() / trained_for * target
    expected = posterior / posterior.sum(axis=1, keepdims=True)
    shifted = logits + prior_shift(trained_for, target=target)
    np.testing.assert_allclose(tf.nn.softmax(shifted), expected, rtol=1e-5)


def test_a_class_without_examples_has_a_small_prior_and_finite_losses() -> None:
    priors = compute_priors(_info((900, 98, 0), (0.9, 0.1, 0.0)), LossConfig())
    assert priors.written.min() == pytest.approx(1 / 1001)
    assert priors.target.min() == pytest.approx(1 / 1001)
    shift = prior_shift(priors.target, target=priors.written)
    assert np.isfinite(shift).all()
    assert shift[2] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(_losses(np.zeros((1, 3)), np.array([2]), shift=shift)).all()


def test_a_shift_to_the_same_prior_changes_nothing_whatever_its_scale() -> None:
    prior = np.array([0.5, 0.3, 0.2])
    np.testing.assert_array_equal(prior_shift(prior, target=prior), np.zeros(3, np.float32))
    np.testing.assert_allclose(prior_shift(prior, target=prior * 40), 0, atol=1e-6)


def test_shifting_back_restores_the_probabilities() -> None:
    natural, uniform = np.array([0.7, 0.2, 0.1]), np.full(3, 1 / 3)
    logits = tf.random.stateless_normal([5, 3], [1, 2])
    there = logits + prior_shift(natural, target=uniform)
    back = there + prior_shift(uniform, target=natural)
    np.testing.assert_allclose(tf.nn.softmax(back), tf.nn.softmax(logits), rtol=1e-5)


@pytest.mark.parametrize(
    ('target', 'message'),
    [
        ([0.5, 0.5], r'target must have the shape of trained_for \(3,\), got \(2,\)'),
        ([0.5, 0.5, 0.0], 'the shares of both priors must be above 0'),
    ],
)
def test_an_impossible_target_prior_is_rejected(target: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prior_shift(np.array([0.5, 0.3, 0.2]), target=np.array(target))
