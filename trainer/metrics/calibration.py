"""Calibration: how well confidence matches accuracy, and the temperature that corrects it.

Temperature scaling and expected calibration error: Guo et al., 2017, arXiv:1706.04599. With the
temperature T, probabilities p become `p ** (1 / T)`, normalised. For the softmax of a picture this
is softmax(logits / T); for the mean of a product's pictures the same rule applies after the mean.
Pictures and products have a temperature each. The order of the classes does not change.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Floats, Ints

BINS = 15  # of confidence, as in the paper

MIN_PROBABILITY = float(np.finfo(np.float32).tiny)  # stands for 0, which has no logarithm
_RANGE = (0.1, 4.0)  # of 1 / T: if every example is right, the optimum is infinite
_STEPS = 60
_CHUNK = 1024  # rows at a time


@dataclass(frozen=True)
class Temperatures:
    """The temperatures of a picture's and of a product's probabilities; 1 changes nothing."""

    picture: float = 1.0
    product: float = 1.0


@dataclass(frozen=True)
class FittedTemperatures:
    """The temperatures of a run and their data.

    Attributes:
      temperatures: Of pictures and products.
      split: The split that they were fitted on.
      products: Number of products that they were fitted on.
    """

    temperatures: Temperatures
    split: str
    products: int


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, in bins of confidence of equal width.

    Attributes:
      count: Examples whose largest probability is in (lower, upper] of the bin, int64 [BINS].
      accuracy: Of these, float64 [BINS]; 0 for an empty bin.
      confidence: Their mean largest probability, float64 [BINS]; 0 for an empty bin.
      ece: Expected calibration error: the mean of |accuracy - confidence|, weighted by count.
      mce: The largest |accuracy - confidence| of a bin.
    """

    count: Ints
    accuracy: Floats
    confidence: Floats
    ece: float
    mce: float


class ReliabilityAccumulator:
    """Counts examples by confidence, batch by batch."""

    def __init__(self) -> None:
        self._count = np.zeros(BINS, np.int64)
        self._hits = np.zeros(BINS, np.int64)
        self._confidence = np.zeros(BINS)

    def update(self, *, confidence: npt.NDArray[np.floating], hit: npt.NDArray[np.bool_]) -> None:
        """Counts N examples: the largest probability of each [N], and whether it is the label's."""
        confidence = confidence.astype(np.float64)
        bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        self._count += np.bincount(bins, minlength=BINS)
        self._hits += np.bincount(bins[hit], minlength=BINS)
        self._confidence += np.bincount(bins, confidence, minlength=BINS)

    def compute(self) -> Reliability:
        """Returns the reliability of all examples so far."""
        some = np.maximum(self._count, 1)
        accuracy, confidence = self._hits / some, self._confidence / some
        gap = np.abs(accuracy - confidence)
        return Reliability(
            count=self._count.copy(),
            accuracy=accuracy,
            confidence=confidence,
            ece=float(gap @ self._count / max(self._count.sum(), 1)),
            mce=float(gap.max()),
        )


def clipped_log(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Returns log p, with p at least the smallest normal float32: same shape and dtype."""
    logs: npt.NDArray[np.floating] = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    return logs


def apply_temperature(probabilities: npt.NDArray[np.floating], *, temperature: float) -> Floats:
    """Returns `p ** (1 / T)`, normalised: [N, C] -> float64 [N, C]."""
    powers = clipped_log(probabilities).astype(np.float64) / temperature
    exponents = np.exp(powers - powers.max(axis=1, keepdims=True))
    result: Floats = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def fit_temperature(probabilities: npt.NDArray[np.floating], labels: Ints) -> float:
    """Returns the temperature with the smallest log loss of N examples; 1 if there are none.

    The loss is convex in 1 / T: its slope has one zero, found by Newton's method with bisection.

    Args:
      probabilities: float [N, C].
      labels: int64 [N].
    """
    if not len(labels):
        return 1.0
    low, high = _RANGE
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _loss_derivatives(probabilities, labels, inverse=inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curvature if curvature > 0 else 0.0
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) < 1e-9 * inverse:
            break
        inverse = following
    return 1 / inverse


def _loss_derivatives(
    probabilities: npt.NDArray[np.floating], labels: Ints, *, inverse: float
) -> tuple[float, float]:
    """The first and second derivative of the log loss by 1 / T: mean and variance of log p."""
    slope = curvature = 0.0
    for start in range(0, len(labels), _CHUNK):
        rows = slice(start, start + _CHUNK)
        logs = clipped_log(probabilities[rows]).astype(np.float64)
        shares = apply_temperature(probabilities[rows], temperature=1 / inverse)
        mean = (shares * logs).sum(axis=1)
        slope += float((mean - logs[np.arange(len(logs)), labels[rows]]).sum())
        curvature += float(((shares * logs**2).sum(axis=1) - mean**2).sum())
    return slope / len(labels), curvature / len(labels)
