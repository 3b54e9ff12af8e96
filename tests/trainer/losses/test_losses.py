"""Each loss against its paper's formula in plain numpy."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from trainer.losses import hierarchy, priors, softmax

LOGITS = np.random.default_rng(0).normal(size=(50, 7), scale=2.0)
LABELS = np.random.default_rng(1).integers(0, 7, 50)
COUNTS = np.array([6000.0, 1300, 280, 60, 60, 13, 1])


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def _log_softmax(logits: np.ndarray) -> tf.Tensor:
    return tf.nn.log_softmax(tf.constant(logits, tf.float32))


def _at_labels(values: np.ndarray) -> np.ndarray:
    return values[range(50), LABELS]


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0, 5.0])
def test_focal_loss_equals_equation_4_of_lin(gamma: float) -> None:
    p = _at_labels(_probabilities(LOGITS))
    found = softmax.focal_loss(_log_softmax(LOGITS), tf.constant(LABELS), gamma=gamma)
    np.testing.assert_allclose(found, -((1 - p) ** gamma) * np.log(p), rtol=1e-4)


@pytest.mark.parametrize('q', [0.1, 0.7, 1.0])
def test_generalized_cross_entropy_equals_equation_6_of_zhang(q: float) -> None:
    p = _at_labels(_probabilities(LOGITS))
    found = softmax.generalized_cross_entropy(_log_softmax(LOGITS), tf.constant(LABELS), q=q)
    np.testing.assert_allclose(found, (1 - p**q) / q, rtol=1e-4, atol=1e-6)


def test_generalized_cross_entropy_ranges_from_cross_entropy_to_absolute_error() -> None:
    p = _at_labels(_probabilities(LOGITS))
    labels = tf.constant(LABELS)
    nearly = softmax.generalized_cross_entropy(_log_softmax(LOGITS), labels, q=1e-3)
    np.testing.assert_allclose(nearly, -np.log(p), rtol=0.01)
    np.testing.assert_allclose(
        softmax.generalized_cross_entropy(_log_softmax(LOGITS), labels, q=1.0),
        1 - p,
        rtol=1e-4,
        atol=1e-6,
    )


def test_margins_equal_equation_12_of_cao() -> None:
    found = softmax.class_margins(COUNTS, largest=0.5)
    expected = 1 / COUNTS**0.25
    np.testing.assert_allclose(found, expected * 0.5 / expected.max(), rtol=1e-6)
    assert found.max() == found[6] == 0.5


def test_the_cross_entropy_with_margins_equals_equation_13_of_cao() -> None:
    margins = softmax.class_margins(COUNTS, largest=0.5)
    lowered = softmax.subtract_margins(
        tf.constant(LOGITS, tf.float32), tf.constant(LABELS), margins=margins
    )
    found = softmax.cross_entropy(tf.nn.log_softmax(lowered), tf.constant(LABELS))
    own = np.exp(_at_labels(LOGITS) - margins[LABELS])
    others = np.exp(LOGITS).sum(axis=1) - np.exp(_at_labels(LOGITS))
    np.testing.assert_allclose(found, -np.log(own / (own + others)), rtol=1e-4)


@pytest.mark.parametrize('beta', [0.9, 0.999, 0.9999])
def test_class_weights_are_the_inverse_of_the_effective_number_of_cui(beta: float) -> None:
    effective = (1 - beta**COUNTS) / (1 - beta)
    expected = (1 / effective) / (1 / effective).sum() * len(COUNTS)
    np.testing.assert_allclose(priors.class_weights(COUNTS, beta=beta), expected, rtol=1e-9)


def test_class_weights_range_from_uniform_to_the_inverse_count() -> None:
    np.testing.assert_array_equal(priors.class_weights(COUNTS, beta=0.0), np.ones(7))
    nearly_one = priors.class_weights(COUNTS, beta=1 - 1e-12)
    np.testing.assert_allclose(nearly_one, 7 / COUNTS / (1 / COUNTS).sum(), rtol=1e-6)


def test_the_probability_of_a_node_is_the_sum_of_its_leaves() -> None:
    node_of = np.array([0, 0, 1, 2, 1, 2, 2])
    p = _probabilities(LOGITS)
    expected = [-np.log(p[i, node_of == node_of[y]].sum()) for i, y in enumerate(LABELS)]
    found = hierarchy.node_cross_entropy(_log_softmax(LOGITS), tf.constant(LABELS), node_of=node_of)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(hierarchy.node_shares(p[0], node_of).sum(), 1)


_EVERY_LOSS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    'cross-entropy': lambda z, y: softmax.cross_entropy(
        tf.nn.log_softmax(z), y, label_smoothing=0.1
    ),
    'focal': lambda z, y: softmax.focal_loss(tf.nn.log_softmax(z), y, gamma=0.5),
    'generalized': lambda z, y: softmax.generalized_cross_entropy(tf.nn.log_softmax(z), y, q=0.3),
    'margin': lambda z, y: softmax.cross_entropy(
        tf.nn.log_softmax(softmax.subtract_margins(z, y, margins=np.float32([15, 10, 5]))), y
    ),
    'levels': lambda z, y: hierarchy.node_cross_entropy(
        tf.nn.log_softmax(z), y, node_of=np.array([0, 0, 1])
    ),
}


@pytest.mark.parametrize('loss', _EVERY_LOSS.values(), ids=_EVERY_LOSS.keys())
def test_extreme_float16_logits_give_finite_losses_and_gradients(
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> None:
    far = 65504.0  # the largest float16
    logits = tf.constant([[far, -far, 0], [-far, far, 0], [0, 0, far], [0, 0, 0]], tf.float16)
    labels = tf.constant([0, 0, 1, 2])
    compiled = tf.function(loss, jit_compile=True)
    for call in (loss, compiled):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = call(tf.cast(logits, tf.float32), labels)
        assert np.isfinite(losses).all()
        assert np.isfinite(tape.gradient(losses, logits)).all()
