"""ROC curves of each level of the category tree, from summed probabilities."""

from dataclasses import dataclass

import numpy as np

from catalog.categories import Categories
from trainer.metrics import levels
from trainer.metrics.classification import Ints
from trainer.metrics.roc_auc import RocAuc, RocAucAccumulator, RocCurve, Scores


@dataclass(frozen=True)
class LevelRoc:
    """The ROC curve of one level.

    Attributes:
      level: From 1; the last one is that of the leaves.
      auc: One node against the rest, mean over the nodes that occur.
      curve: The mean curve of these nodes.
    """

    level: int
    auc: RocAuc
    curve: RocCurve


class LevelRocAccumulator:
    """Counts examples batch by batch, at all levels of a tree."""

    def __init__(self, tree: Categories) -> None:
        self._parents = levels.parent_levels(tree)
        self._leaves = RocAucAccumulator(len(tree))
        self._above = [RocAucAccumulator(level.num_nodes) for level in self._parents]

    def update(self, *, labels: Ints, probabilities: Scores) -> None:
        """Counts N examples: leaves int [N], probabilities of the leaves float32 [N, C]."""
        self._leaves.update(labels=labels, probabilities=probabilities)
        for level, accumulator in zip(self._parents, self._above, strict=True):
            summed = level.sum_nodes(probabilities).astype(np.float32)
            accumulator.update(labels=level.node_of[labels], probabilities=summed)

    def compute(self) -> tuple[LevelRoc, ...]:
        """Returns the curves of the levels 1 to N."""
        accumulators = [*self._above, self._leaves]
        return tuple(
            LevelRoc(number, accumulator.compute(), accumulator.compute_curve())
            for number, accumulator in enumerate(accumulators, start=1)
        )

    def compute_by_leaf(self) -> tuple[float | None, ...]:
        """Returns the AUC of each leaf, [C]; None for a leaf that does not occur."""
        return tuple(
            None if np.isnan(auc) else auc for auc in self._leaves.compute_by_class().tolist()
        )
