"""Metrics by level of the category tree, from summed probabilities and from the likeliest leaf.

A node's probability is the sum of its leaves'. The likeliest node need not contain the likeliest
leaf: `by_sum` counts the former, `accuracy_by_leaf` the latter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from trainer.metrics import calibration, classification
from trainer.metrics.classification import Confusion, Floats, Ints, Metrics, MetricsAccumulator


@dataclass(frozen=True)
class LevelMetrics:
    """Metrics of one level of the tree.

    Attributes:
      level: From 1; the last one is that of the leaves.
      nodes: Number of nodes on the level.
      accuracy_by_leaf: Share of the examples whose likeliest leaf is under the label's node.
      by_sum: Metrics of the nodes with the largest summed probability.
    """

    level: int
    nodes: int
    accuracy_by_leaf: float
    by_sum: Metrics


class TreeLevel:
    """The nodes of a level above the leaves.

    Attributes:
      node_of: Dense label of each leaf's node, int64 [C].
      num_nodes: Number of nodes.
    """

    def __init__(self, node_of: Ints) -> None:
        self.node_of = node_of
        self.num_nodes = int(node_of.max()) + 1
        self._order = np.argsort(node_of, kind='stable')
        self._starts = np.searchsorted(node_of[self._order], np.arange(self.num_nodes))
        self._sorted = bool((np.diff(node_of) >= 0).all())

    def predict_nodes(
        self, *, labels: Ints, probabilities: npt.NDArray[np.floating]
    ) -> dict[str, npt.NDArray[Any]]:
        """Returns the arguments of `MetricsAccumulator.update` for the nodes of N examples.

        Args:
          labels: Leaves, int64 [N].
          probabilities: Of the leaves, float [N, C].
        """
        summed = self.sum_nodes(probabilities)
        nodes = self.node_of[labels]
        return {
            'labels': nodes,
            'predicted': np.argsort(-summed, axis=1, kind='stable')[:, : classification.TOP],
            'label_log_probability': calibration.clipped_log(summed[np.arange(len(nodes)), nodes]),
        }

    def sum_nodes(self, probabilities: npt.NDArray[np.floating]) -> Floats:
        """Returns the probabilities of the nodes: of the leaves [N, C] -> float64 [N, nodes]."""
        leaves = probabilities if self._sorted else probabilities[:, self._order]
        return np.add.reduceat(leaves, self._starts, axis=1, dtype=np.float64)


def parent_levels(tree: Categories) -> tuple[TreeLevel, ...]:
    """Returns the levels 1 to N-1 of a tree; level N is the leaves."""
    return tuple(TreeLevel(node_of) for node_of in tree.parents)


def compute_level_metrics(
    leaves: MetricsAccumulator, above: Sequence[tuple[TreeLevel, MetricsAccumulator]]
) -> tuple[LevelMetrics, ...]:
    """Returns the metrics of the levels 1 to N, from the counts of leaves and parent levels."""
    confusion = leaves.confusion()
    parents = (
        LevelMetrics(
            level=number,
            nodes=level.num_nodes,
            accuracy_by_leaf=accuracy_by_leaf(confusion, level.node_of),
            by_sum=classification.compute_metrics(accumulator),
        )
        for number, (level, accumulator) in enumerate(above, start=1)
    )
    last = LevelMetrics(
        level=len(above) + 1,
        nodes=leaves.num_classes,
        accuracy_by_leaf=classification.accuracy(confusion),
        by_sum=classification.compute_metrics(leaves),
    )
    return *parents, last


def accuracy_by_leaf(confusion: Confusion, node_of: Ints) -> float:
    """Returns the share of the examples whose likeliest leaf is under the label's node.

    Args:
      confusion: Of the leaves.
      node_of: The node of a level above each leaf, int64 [C].
    """
    return classification.accuracy(merge_leaves(confusion, node_of))


def merge_leaves(confusion: Confusion, node_of: Ints) -> Confusion:
    """Returns the confusion of a level's nodes, from that of the leaves."""
    nodes = int(node_of.max()) + 1
    keys = node_of[confusion.label] * nodes + node_of[confusion.predicted]
    distinct, place = np.unique(keys, return_inverse=True)
    label, predicted = np.divmod(distinct, nodes)
    count = np.bincount(place, confusion.count, minlength=len(distinct)).astype(np.int64)
    return Confusion(label, predicted, count)
