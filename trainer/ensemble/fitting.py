"""Fits the weights of a `Combination` on labelled products.

- `arithmetic`: maximum likelihood, by expectation maximization (Dempster, Laird and Rubin, 1977).
  The weights are at least 0 and sum to 1.
- `geometric`: smallest log loss, with weights of at least 0. Their sum is free, so they also make
  the confidence sharper or softer.
- `stacking`: smallest log loss, with a penalty on the distance from the geometric weights.
"""

import numpy as np
import numpy.typing as npt
import scipy.optimize

from trainer.inference.combination import Combination, Floats, Name
from trainer.metrics.calibration import MIN_PROBABILITY

Probabilities = npt.NDArray[np.float32]  # [M, N, C]
Labels = npt.NDArray[np.int64]  # [N]

_CHUNK = 1024  # products at a time
_EM_STEPS = 200


def fit(
    name: Name, probabilities: Probabilities, labels: Labels, *, penalty: float = 1e-3
) -> Combination:
    """Returns the rule that fits labelled products best.

    Args:
      name: Name of the rule.
      probabilities: Of M models, float32 [M, N, C].
      labels: int64 [N].
      penalty: For `stacking`: factor of half the squared distance of weights and bias from the
        geometric weights and 0, added to the mean log loss of a product.
    """
    match name:
        case 'arithmetic':
            return _fit_arithmetic(probabilities, labels)
        case 'geometric':
            return _fit_geometric(probabilities, labels)
        case 'stacking':
            return _fit_stacking(probabilities, labels, penalty=penalty)


def _fit_arithmetic(probabilities: Probabilities, labels: Labels) -> Combination:
    own = probabilities[:, np.arange(len(labels)), labels].astype(np.float64)  # [M, N]
    own = np.maximum(own, MIN_PROBABILITY)
    weights = np.full((len(own), 1), 1 / len(own))
    for _ in range(_EM_STEPS):
        shares = weights * own
        shares /= shares.sum(axis=0)
        weights = shares.mean(axis=1, keepdims=True)
    return Combination('arithmetic', weights / weights.sum(), np.zeros(1))


def _fit_geometric(probabilities: Probabilities, labels: Labels) -> Combination:
    models = len(probabilities)

    def loss(flat: Floats) -> tuple[float, Floats]:
        value, by_weight, _ = _loss(flat[:, np.newaxis], np.zeros(1), probabilities, labels)
        return value, by_weight.sum(axis=1)

    start = np.full(models, 1 / models)
    found = scipy.optimize.minimize(
        loss, start, jac=True, method='L-BFGS-B', bounds=[(0, None)] * models
    )
    return Combination('geometric', found.x[:, np.newaxis], np.zeros(1))


def _fit_stacking(probabilities: Probabilities, labels: Labels, *, penalty: float) -> Combination:
    models, _, classes = probabilities.shape
    centre = _fit_geometric(probabilities, labels).weights  # [M, 1]

    def loss(flat: Floats) -> tuple[float, Floats]:
        offset, bias = np.split(flat.reshape(models + 1, classes), [models])
        value, by_weight, by_bias = _loss(centre + offset, bias[0], probabilities, labels)
        gradient = np.concatenate([by_weight, by_bias[np.newaxis]]) + penalty * flat.reshape(
            models + 1, classes
        )
        return value + penalty / 2 * float(flat @ flat), gradient.ravel()

    start = np.zeros((models + 1) * classes)
    found = scipy.optimize.minimize(loss, start, jac=True, method='L-BFGS-B')
    offset, bias = np.split(found.x.reshape(models + 1, classes), [models])
    return Combination('stacking', centre + offset, bias[0])


def _loss(
    weights: Floats, bias: Floats, probabilities: Probabilities, labels: Labels
) -> tuple[float, Floats, Floats]:
    """The mean log loss of the weighted logarithms, and its gradients [M, C] and [C]."""
    models, products, classes = probabilities.shape
    loss, by_weight, by_bias = 0.0, np.zeros((models, classes)), np.zeros(classes)
    for start in range(0, products, _CHUNK):
        logs = np.log(np.maximum(probabilities[:, start : start + _CHUNK], MIN_PROBABILITY))
        chosen = labels[start : start + _CHUNK]
        rows = np.arange(len(chosen))
        logits = np.einsum('mnc,mc->nc', logs, np.broadcast_to(weights, (models, classes))) + bias
        logits -= logits.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(logits).sum(axis=1))
        loss += float((normaliser - logits[rows, chosen]).sum())
        errors = np.exp(logits - normaliser[:, np.newaxis])
        errors[rows, chosen] -= 1
        by_weight += np.einsum('mnc,nc->mc', logs, errors)
        by_bias += errors.sum(axis=0)
    return loss / products, by_weight / products, by_bias / products
