"""What is counted of a set of examples, products or pictures, while they stream by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from trainer.metrics import breakdowns as levels
from trainer.metrics import classification as metrics
from trainer.metrics.breakdowns import Level, LevelMetrics
from trainer.metrics.calibration import Reliability, ReliabilityAccumulator
from trainer.metrics.classification import Confusion, Metrics, MetricsAccumulator
from trainer.metrics.prediction_table import Predictions

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class SubsetMetrics:
    """What was found of a set of examples.

    Attributes:
      metrics: of the leaves.
      levels: of level 1, 2 and 3.
      reliability: of the model's own probabilities.
      calibrated: of its confidence, after the temperature.
    """

    metrics: Metrics
    levels: tuple[LevelMetrics, LevelMetrics, LevelMetrics]
    reliability: Reliability
    calibrated: Reliability


class _SubsetAccumulator:
    def __init__(self, num_classes: int, above: tuple[Level, Level]) -> None:
        self.leaves = MetricsAccumulator(num_classes)
        self.above = [(level, MetricsAccumulator(level.nodes)) for level in above]
        self.reliability, self.calibrated = ReliabilityAccumulator(), ReliabilityAccumulator()

    def measured(self) -> SubsetMetrics:
        return SubsetMetrics(
            metrics=metrics.compute_metrics(self.leaves),
            levels=levels.figures(self.leaves, self.above),
            reliability=self.reliability.figures(),
            calibrated=self.calibrated.figures(),
        )


class ExampleAccumulator:
    """Counts examples as they come: all of them, and those that are not leaked."""

    def __init__(self, tree: Categories) -> None:
        self._levels = levels.above_leaves(tree)
        self._every = _SubsetAccumulator(len(tree), self._levels)
        self._unseen = _SubsetAccumulator(len(tree), self._levels)

    @property
    def examples(self) -> int:
        """How many were counted."""
        return self._every.leaves.examples

    def update(self, best: Predictions, probabilities: npt.NDArray[np.float32]) -> None:
        """Counts N examples: what is said of them, and probabilities [N, C]."""
        leaves = {
            'labels': best.label,
            'predicted': best.predicted,
            'label_log_probability': best.label_log_probability,
        }
        above = [
            level.said(labels=best.label, probabilities=probabilities) for level in self._levels
        ]
        for tallies, chosen in [
            (self._every, np.ones_like(best.leaked)),
            (self._unseen, ~best.leaked),
        ]:
            tallies.leaves.update(**_chosen(leaves, chosen))
            for (_, tally), said in zip(tallies.above, above, strict=True):
                tally.update(**_chosen(said, chosen))
            hit = best.hit[chosen]
            tallies.reliability.update(confidence=best.probability[chosen, 0], hit=hit)
            tallies.calibrated.update(confidence=best.confidence[chosen, 0], hit=hit)

    def measured(self) -> tuple[SubsetMetrics, SubsetMetrics]:
        """What was found of all of them, and of those that are not leaked."""
        return self._every.measured(), self._unseen.measured()

    def confusion(self) -> Confusion:
        """The confusion of all of them."""
        return self._every.leaves.confusion()


def _chosen(columns: Columns, chosen: npt.NDArray[np.bool_]) -> Columns:
    return {name: column[chosen] for name, column in columns.items()}
