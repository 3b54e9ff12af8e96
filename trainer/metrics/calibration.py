"""How far a confidence can be believed, and the temperature that mends it. Pure numpy.

Temperature scaling and expected calibration error: Guo et al., 2017, arXiv:1706.04599. With the
temperature T probabilities p become `p ** (1 / T)`, normalised. Of the softmax of a picture this is
softmax(logits / T); of the mean of a product's pictures it is the same rule after the mean.
Pictures and products have each their own. The order of the classes stays as it is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Floats, Ints

BINS = 15  # of confidence, as in the paper

_SMALLEST = np.finfo(np.float32).tiny  # a probability that rounds to 0 keeps a finite logarithm
_RANGE = (0.1, 4.0)  # of 1 / T: where all are right, the sharpest would be without end
_STEPS = 60
_CHUNK = 1024  # rows at a time


@dataclass(frozen=True)
class Temperatures:
    """The temperature of a picture's probabilities, and of a product's; 1 changes nothing."""

    picture: float = 1.0
    product: float = 1.0


@dataclass(frozen=True)
class FittedTemperatures:
    """The temperatures of a run.

    Attributes:
      temperatures: of pictures and products.
      split: that they were fitted on.
      products: how many of it.
    """

    temperatures: Temperatures
    split: str
    products: int


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, by bins of confidence of equal width.

    Attributes:
      count: int64 [BINS], examples whose largest probability is in (lower, upper] of the bin.
      accuracy: float64 [BINS], of those; 0 where there is none.
      confidence: float64 [BINS], their mean largest probability; 0 where there is none.
      ece: the expected calibration error: the mean of |accuracy - confidence|, weighted by count.
      mce: the largest |accuracy - confidence| of a bin.
    """

    count: Ints
    accuracy: Floats
    confidence: Floats
    ece: float
    mce: float


class ReliabilityAccumulator:
    """Counts examples by confidence as they come."""

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

    def figures(self) -> Reliability:
        """What was counted so far."""
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


def clipped_log(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Log p, of a p that rounds to 0 that of the smallest float32: [N, C] -> float32 [N, C]."""
    logs: npt.NDArray[np.float32] = np.log(np.maximum(probabilities, _SMALLEST)).astype(np.float32)
    return logs


def apply_temperature(probabilities: npt.NDArray[np.floating], *, temperature: float) -> Floats:
    """`p ** (1 / T)`, normalised: [N, C] -> float64 [N, C]."""
    powers = clipped_log(probabilities).astype(np.float64) / temperature
    exponents = np.exp(powers - powers.max(axis=1, keepdims=True))
    result: Floats = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def fit_temperature(probabilities: npt.NDArray[np.floating], labels: Ints) -> float:
    """The temperature with the smallest log loss of N examples; 1 if there are none.

    The loss is convex in 1 / T, so its slope has one zero, found by Newton's steps kept in between.
    """
    if not len(labels):
        return 1.0
    low, high = _RANGE
    inverse = 1.0
    for _ in range(_STEPS):
        slope, bend = _slope_and_bend(probabilities, labels, inverse=inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / bend if bend > 0 else 0.0
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) < 1e-9 * inverse:
            break
        inverse = following
    return 1 / inverse


def _slope_and_bend(
    probabilities: npt.NDArray[np.floating], labels: Ints, *, inverse: float
) -> tuple[float, float]:
    """The first and second derivative of the log loss by 1 / T: mean and variance of log p."""
    slope = bend = 0.0
    for start in range(0, len(labels), _CHUNK):
        rows = slice(start, start + _CHUNK)
        logs = clipped_log(probabilities[rows]).astype(np.float64)
        shares = apply_temperature(probabilities[rows], temperature=1 / inverse)
        mean = (shares * logs).sum(axis=1)
        slope += float((mean - logs[np.arange(len(logs)), labels[rows]]).sum())
        bend += float(((shares * logs**2).sum(axis=1) - mean**2).sum())
    return slope / len(labels), bend / len(labels)
