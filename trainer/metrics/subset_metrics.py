"""All streamed metrics of products or pictures, with and without the leaked ones."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from trainer.metrics import classification, levels
from trainer.metrics.calibration import Reliability, ReliabilityAccumulator
from trainer.metrics.classification import Confusion, Metrics, MetricsAccumulator
from trainer.metrics.levels import LevelMetrics, TreeLevel
from trainer.metrics.prediction_table import Predictions


@dataclass(frozen=True)
class SubsetMetrics:
    """Metrics of a set of examples.

    Attributes:
      metrics: Of the leaves.
      levels: Of the levels 1 to N.
      reliability: Of the model's own probabilities.
      calibrated: Of its confidence, after temperature scaling.
    """

    metrics: Metrics
    levels: tuple[LevelMetrics, ...]
    reliability: Reliability
    calibrated: Reliability


class ExampleAccumulator:
    """Counts examples batch by batch: all of them, and those that are not leaked."""

    def __init__(self, tree: Categories) -> None:
        self._levels = levels.parent_levels(tree)
        self._all = _SubsetAccumulator(len(tree), self._levels)
        self._without_leaked = _SubsetAccumulator(len(tree), self._levels)

    @property
    def examples(self) -> int:
        """Number of examples so far."""
        return self._all.leaves.examples

    def update(self, predictions: Predictions, probabilities: npt.NDArray[np.float32]) -> None:
        """Counts N examples, from their likeliest classes and all probabilities [N, C]."""
        columns = [
            {
                'labels': predictions.label,
                'predicted': predictions.predicted,
                'label_log_probability': predictions.label_log_probability,
            },
            *(
                level.predict_nodes(labels=predictions.label, probabilities=probabilities)
                for level in self._levels
            ),
        ]
        for subset, rows in [
            (self._all, np.ones_like(predictions.leaked)),
            (self._without_leaked, ~predictions.leaked),
        ]:
            accumulators = [subset.leaves, *(nodes for _, nodes in subset.above)]
            for accumulator, values in zip(accumulators, columns, strict=True):
                accumulator.update(**{name: column[rows] for name, column in values.items()})
            hit = predictions.hit[rows]
            subset.reliability.update(confidence=predictions.probability[rows, 0], hit=hit)
            subset.calibrated.update(confidence=predictions.confidence[rows, 0], hit=hit)

    def compute(self) -> tuple[SubsetMetrics, SubsetMetrics]:
        """Returns the metrics of all examples, and of those that are not leaked."""
        return self._all.compute(), self._without_leaked.compute()

    def confusion(self) -> Confusion:
        """Returns the confusion of all examples."""
        return self._all.leaves.confusion()


class _SubsetAccumulator:
    def __init__(self, num_classes: int, above: tuple[TreeLevel, ...]) -> None:
        self.leaves = MetricsAccumulator(num_classes)
        self.above = [(level, MetricsAccumulator(level.num_nodes)) for level in above]
        self.reliability, self.calibrated = ReliabilityAccumulator(), ReliabilityAccumulator()

    def compute(self) -> SubsetMetrics:
        return SubsetMetrics(
            metrics=classification.compute_metrics(self.leaves),
            levels=levels.compute_level_metrics(self.leaves, self.above),
            reliability=self.reliability.compute(),
            calibrated=self.calibrated.compute(),
        )
