"""Figures by level of the category tree: of the leaf's parents, and of summed probabilities.

A node's probability is the sum of its leaves'. The likeliest node need not hold the likeliest leaf:
`by_sum` counts the one, `accuracy_by_leaf` the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from trainer import metrics
from trainer.metrics import Confusion, Figures, Ints, Tally

_SMALLEST = np.finfo(np.float32).tiny  # a probability that rounds to 0 keeps a finite logarithm


@dataclass(frozen=True)
class LevelFigures:
    """A level of the tree.

    Attributes:
      level: 1, 2, or 3 for the leaves.
      nodes: how many the level has.
      accuracy_by_leaf: the share of the examples whose likeliest leaf lies under the label's node.
      by_sum: the figures of the nodes with the largest summed probability.
    """

    level: int
    nodes: int
    accuracy_by_leaf: float
    by_sum: Figures


class LevelTally:
    """Counts the nodes of one level as examples come."""

    def __init__(self, node_of: Ints) -> None:
        """`node_of`: int64 [C], the dense label of each leaf's node on this level."""
        self.node_of = node_of
        self.nodes = int(node_of.max()) + 1
        self.tally = Tally(self.nodes)
        self._order = np.argsort(node_of, kind='stable')
        self._starts = np.searchsorted(node_of[self._order], np.arange(self.nodes))
        self._sorted = bool((np.diff(node_of) >= 0).all())

    def update(self, *, labels: Ints, probabilities: npt.NDArray[np.floating]) -> None:
        """Counts N examples: labels of leaves int [N], probabilities float [N, C]."""
        leaves = probabilities if self._sorted else probabilities[:, self._order]
        summed = np.add.reduceat(leaves, self._starts, axis=1, dtype=np.float64)  # [N, nodes]
        nodes = self.node_of[labels]
        of_label = summed[np.arange(len(nodes)), nodes]
        self.tally.update(
            labels=nodes,
            predicted=np.argsort(-summed, axis=1, kind='stable')[:, : metrics.TOP],
            label_log_probability=np.log(np.maximum(of_label, _SMALLEST)),
        )


def on_level(confusion: Confusion, node_of: Ints) -> Confusion:
    """The confusion of a level's nodes, from that of the leaves."""
    nodes = int(node_of.max()) + 1
    keys = node_of[confusion.label] * nodes + node_of[confusion.predicted]
    distinct, place = np.unique(keys, return_inverse=True)
    label, predicted = np.divmod(distinct, nodes)
    count = np.bincount(place, confusion.count, minlength=len(distinct)).astype(np.int64)
    return Confusion(label, predicted, count)


def tallies(tree: Categories) -> tuple[LevelTally, LevelTally]:
    """Empty tallies of level 1 and 2; level 3 is that of the leaves."""
    return LevelTally(tree.level1), LevelTally(tree.level2)


def level_figures(
    leaves: Tally, above: tuple[LevelTally, LevelTally]
) -> tuple[LevelFigures, LevelFigures, LevelFigures]:
    """The figures of level 1, 2 and 3."""
    confusion = leaves.confusion()
    first, second = (
        LevelFigures(
            level=level,
            nodes=tally.nodes,
            accuracy_by_leaf=metrics.accuracy(on_level(confusion, tally.node_of)),
            by_sum=metrics.figures(tally.tally),
        )
        for level, tally in enumerate(above, start=1)
    )
    third = LevelFigures(
        3, leaves.num_classes, metrics.accuracy(confusion), metrics.figures(leaves)
    )
    return first, second, third
