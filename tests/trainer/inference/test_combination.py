"""Combinations of the probabilities of several models."""

import numpy as np
import scipy.special

from trainer.inference.combination import (
    combined_log_probabilities,
    equal_weights,
)

MODELS, PRODUCTS, CLASSES = 3, 400, 5


def test_equal_weights_give_the_arithmetic_and_the_geometric_mean() -> None:
    logits = np.random.default_rng(0).normal(size=(MODELS, PRODUCTS, CLASSES))
    probabilities = scipy.special.softmax(logits, axis=-1).astype(np.float32)
    mean = combined_log_probabilities(probabilities, equal_weights('arithmetic', models=MODELS))
    np.testing.assert_allclose(np.exp(mean), probabilities.mean(axis=0), rtol=1e-5)
    root = combined_log_probabilities(probabilities, equal_weights('geometric', models=MODELS))
    expected = probabilities.prod(axis=0) ** (1 / MODELS)
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.exp(root), expected, rtol=1e-5)
