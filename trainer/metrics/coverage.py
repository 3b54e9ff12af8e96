"""How much can be filed without a person looking: coverage against accuracy, by confidence.

Selective classification (Geifman and El-Yaniv, 2017, arXiv:1705.08500): what is less sure than a
threshold is left to people. Pure numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Floats

TARGETS = (0.9, 0.95, 0.99)  # accuracy of what is filed
CURVE_POINTS = 200


@dataclass(frozen=True)
class Coverage:
    """What can be filed at an accuracy.

    Attributes:
      target: the accuracy that is asked for.
      threshold: the least confidence that is filed; above 1 where nothing can be.
      share: of the examples, that is filed.
      accuracy: of what is filed, at least the target; 0 where nothing is.
    """

    target: float
    threshold: float
    share: float
    accuracy: float


@dataclass(frozen=True)
class Curve:
    """Accuracy of the surest examples, by how many of them are filed.

    Attributes:
      threshold: the least confidence that is filed, descending, float64 [points].
      share: of the examples, that is filed, float64 [points].
      accuracy: of those, float64 [points].
    """

    threshold: Floats
    share: Floats
    accuracy: Floats


def curve(
    confidence: npt.NDArray[np.floating],
    hit: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.number] | None = None,
) -> Curve:
    """A point for each different confidence, the highest first.

    Args:
      confidence: float [N].
      hit: bool [N], whether the example is right.
      weights: how often each example counts [N], by default once.
    """
    counts = np.ones(len(hit)) if weights is None else weights.astype(np.float64)
    order = np.argsort(-confidence, kind='stable')
    order = order[counts[order] > 0]
    if not len(order):
        return Curve(np.zeros(0), np.zeros(0), np.zeros(0))
    values = confidence[order].astype(np.float64)
    filed, right = np.cumsum(counts[order]), np.cumsum((counts * hit)[order])
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    return Curve(values[last], filed[last] / filed[-1], right[last] / filed[last])


def at(found: Curve, target: float) -> Coverage:
    """The most that can be filed with at least the target's accuracy."""
    enough = np.flatnonzero(found.accuracy >= target)
    if not len(enough):
        return Coverage(target, threshold=2.0, share=0.0, accuracy=0.0)
    best = enough[-1]
    return Coverage(
        target,
        threshold=float(found.threshold[best]),
        share=float(found.share[best]),
        accuracy=float(found.accuracy[best]),
    )


def at_targets(found: Curve, targets: Sequence[float] = TARGETS) -> tuple[Coverage, ...]:
    """`at` for each target."""
    return tuple(at(found, target) for target in targets)


def thinned(found: Curve, points: int = CURVE_POINTS) -> Curve:
    """At most so many points of a curve, evenly by share, the last one kept."""
    wanted = np.linspace(0, len(found.share) - 1, min(points, len(found.share)))
    chosen = wanted.round().astype(np.int64)
    return Curve(found.threshold[chosen], found.share[chosen], found.accuracy[chosen])
