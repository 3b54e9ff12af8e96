"""Coverage: the share of the examples that can be auto-classified at a given accuracy.

Selective classification (Geifman and El-Yaniv, 2017, arXiv:1705.08500): examples whose confidence
is below a threshold are left to people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Floats

TARGETS = (0.9, 0.95, 0.99)  # accuracy of the auto-classified examples
CURVE_POINTS = 200


@dataclass(frozen=True)
class Coverage:
    """The largest coverage with at least a target accuracy.

    Attributes:
      target: The required accuracy.
      threshold: The smallest confidence that is auto-classified; above 1 where none is.
      share: Share of the examples that is auto-classified.
      accuracy: Of the auto-classified examples, at least the target; 0 where there are none.
    """

    target: float
    threshold: float
    share: float
    accuracy: float


@dataclass(frozen=True)
class CoverageCurve:
    """Accuracy of the most confident examples, by their share.

    Attributes:
      threshold: The smallest confidence that is auto-classified, descending, float64 [points].
      share: Share of the examples at or above the threshold, float64 [points].
      accuracy: Accuracy of these examples, float64 [points].
    """

    threshold: Floats
    share: Floats
    accuracy: Floats


def coverage_curve(
    confidence: npt.NDArray[np.floating],
    hit: npt.NDArray[np.bool_],
) -> CoverageCurve:
    """Returns a point for each distinct confidence, the highest first.

    Args:
      confidence: float [N].
      hit: bool [N], whether the example is right.
    """
    if not len(hit):
        return CoverageCurve(np.zeros(0), np.zeros(0), np.zeros(0))
    order = np.argsort(-confidence, kind='stable')
    values = confidence[order].astype(np.float64)
    right = np.cumsum(hit[order])
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    return CoverageCurve(values[last], (last + 1) / len(hit), right[last] / (last + 1))


def coverage_at(curve: CoverageCurve, target: float) -> Coverage:
    """Returns the largest coverage with at least the target accuracy."""
    enough = np.flatnonzero(curve.accuracy >= target)
    if not len(enough):
        return Coverage(target, threshold=2.0, share=0.0, accuracy=0.0)
    best = enough[-1]
    return Coverage(
        target,
        threshold=float(curve.threshold[best]),
        share=float(curve.share[best]),
        accuracy=float(curve.accuracy[best]),
    )


def coverage_at_targets(
    curve: CoverageCurve, targets: Sequence[float] = TARGETS
) -> tuple[Coverage, ...]:
    """Returns `coverage_at` for each target."""
    return tuple(coverage_at(curve, target) for target in targets)


def thin_curve(curve: CoverageCurve, points: int = CURVE_POINTS) -> CoverageCurve:
    """Returns at most `points` points of a curve, evenly spaced by share, including both ends."""
    wanted = np.linspace(0, len(curve.share) - 1, min(points, len(curve.share)))
    chosen = wanted.round().astype(np.int64)
    return CoverageCurve(curve.threshold[chosen], curve.share[chosen], curve.accuracy[chosen])
