"""Fitting the weights of an ensemble."""

import numpy as np
import pytest
import scipy.special
from sklearn.linear_model import LogisticRegression

from trainer.ensemble import fitting
from trainer.inference.combination import (
    Combination,
    combined_log_probabilities,
    equal_weights,
)

MODELS, PRODUCTS, CLASSES = 3, 400, 5


@pytest.fixture(scope='module')
def labelled() -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities of models of different skill, float32 [M, N, C], and the labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, PRODUCTS)
    logits = rng.normal(size=(MODELS, PRODUCTS, CLASSES))
    skill = np.array([2.5, 1.5, 0.0])
    logits[:, np.arange(PRODUCTS), labels] += skill[:, np.newaxis]
    return scipy.special.softmax(logits, axis=-1).astype(np.float32), labels


def _log_loss(rule: Combination, probabilities: np.ndarray, labels: np.ndarray) -> float:
    logs = combined_log_probabilities(probabilities, rule).numpy()
    return float(-logs[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize('name', ['arithmetic', 'geometric', 'stacking'])
def test_every_rule_gives_probabilities_even_if_all_models_give_0(name, labelled) -> None:
    probabilities, labels = labelled
    rule = fitting.fit(name, probabilities, labels)
    certain = np.zeros((MODELS, 2, CLASSES), np.float32)
    certain[:, 0, 1], certain[:, 1, 2] = 1, 1
    logs = combined_log_probabilities(certain, rule).numpy()
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs).sum(axis=-1), 1, rtol=1e-5)
    assert logs.argmax(axis=-1).tolist() == [1, 2]


def test_fitted_weights_of_the_mean_have_maximum_likelihood(labelled) -> None:
    probabilities, labels = labelled
    rule = fitting.fit('arithmetic', probabilities, labels)
    weights = rule.weights[:, 0]
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[1] > weights[2]
    own = probabilities[:, np.arange(PRODUCTS), labels].astype(np.float64)
    # At the maximum on the simplex, all models with a positive weight have equal gradients (KKT).
    gradient = (own / (weights @ own)).mean(axis=1)
    np.testing.assert_allclose(gradient[weights > 1e-3], 1, atol=1e-4)
    assert (gradient < 1 + 1e-4).all()


def test_fitted_powers_are_those_of_a_conditional_logit_model(labelled) -> None:
    # With two classes, a logistic regression on the differences of log probabilities.
    probabilities, labels = labelled
    two = labels < 2
    pair = probabilities[:2, two, :2].astype(np.float64)  # without the model that guesses
    pair /= pair.sum(axis=-1, keepdims=True)
    rule = fitting.fit('geometric', pair.astype(np.float32), labels[two])
    regression = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-8)
    regression.fit(np.log(pair[:, :, 1] / pair[:, :, 0]).T, labels[two])
    np.testing.assert_allclose(rule.weights[:, 0], regression.coef_[0], rtol=1e-3)
    assert (rule.weights > 0).all()


def test_fitted_weights_beat_equal_weights_and_stacking_beats_both(labelled) -> None:
    probabilities, labels = labelled

    def loss(rule: Combination) -> float:
        return _log_loss(rule, probabilities, labels)

    arithmetic, geometric, stacking = (
        loss(fitting.fit(name, probabilities, labels))
        for name in ('arithmetic', 'geometric', 'stacking')
    )
    assert arithmetic < loss(equal_weights('arithmetic', models=MODELS))
    assert geometric < loss(equal_weights('geometric', models=MODELS))
    assert stacking < geometric


def test_stacking_corrects_a_class_that_all_models_underpredict() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 600)
    logits = rng.normal(size=(2, 600, 3))
    logits[:, np.arange(600), labels] += 2
    logits[:, :, 2] -= 3  # both models hardly ever predict 2
    probabilities = scipy.special.softmax(logits, axis=-1).astype(np.float32)
    plain = fitting.fit('geometric', probabilities, labels)
    stacked = fitting.fit('stacking', probabilities, labels)
    assert stacked.bias.argmax() == 2

    def accuracy(rule: Combination) -> float:
        return float(
            (combined_log_probabilities(probabilities, rule).numpy().argmax(-1) == labels).mean()
        )

    assert accuracy(stacked) > accuracy(plain) + 0.1
    held = fitting.fit('stacking', probabilities, labels, penalty=1e6)
    np.testing.assert_allclose(held.weights, np.tile(plain.weights, (1, 3)), atol=1e-4)
    np.testing.assert_allclose(held.bias, 0, atol=1e-4)
