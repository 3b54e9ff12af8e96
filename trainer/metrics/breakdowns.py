"""Figures by level of the category tree: of the leaf's parents, and of summed probabilities.

A node's probability is the sum of its leaves'. The likeliest node need not hold the likeliest leaf:
`by_sum` counts the one, `accuracy_by_leaf` the other.

The classes in three parts by size: how good a model is where it saw much, and where little.

As ImageNet-LT reports many-, medium- and few-shot classes (Liu et al., 2019, arXiv:1904.05160), but
by thirds of the classes: fixed counts would leave parts of a small shop empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from trainer.metrics import classification as metrics
from trainer.metrics.classification import Confusion, Floats, Ints, Metrics, MetricsAccumulator

NAMES = ('many', 'medium', 'few')


@dataclass(frozen=True)
class Third:
    """A third of the classes.

    Attributes:
      name: `many`, `medium` or `few`.
      classes: how many it has.
      measured: how many of them have examples.
      examples: with a label of this third.
      accuracy: the share of those that are right.
      macro_recall: the mean recall of the measured classes.
    """

    name: str
    classes: int
    measured: int
    examples: int
    accuracy: float
    macro_recall: float


def thirds(confusion: Confusion, sizes: Floats) -> tuple[Third, ...]:
    """The thirds of the classes, the largest first.

    Args:
      confusion: of the leaves.
      sizes: float [C], how often each class occurs in what the model learned from; of equals the
        smaller label counts as larger.
    """
    parts = np.array_split(np.argsort(-sizes, kind='stable'), len(NAMES))
    return tuple(_third(confusion, part, name) for name, part in zip(NAMES, parts, strict=True))


def _third(confusion: Confusion, part: metrics.Ints, name: str) -> Third:
    mine = np.isin(confusion.label, part)
    own = Confusion(confusion.label[mine], confusion.predicted[mine], confusion.count[mine])
    classes = metrics.per_class(own)
    measured = classes.support > 0
    return Third(
        name=name,
        classes=len(part),
        measured=int(measured.sum()),
        examples=int(own.count.sum()),
        accuracy=metrics.accuracy(own),
        macro_recall=float(classes.recall[measured].mean()) if measured.any() else 0.0,
    )


_SMALLEST = np.finfo(np.float32).tiny  # a probability that rounds to 0 keeps a finite logarithm


@dataclass(frozen=True)
class LevelMetrics:
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
    by_sum: Metrics


class Level:
    """The nodes of a level, and what probabilities of leaves say of them.

    Attributes:
      node_of: int64 [C], the dense label of each leaf's node.
      nodes: how many there are.
    """

    def __init__(self, node_of: Ints) -> None:
        self.node_of = node_of
        self.nodes = int(node_of.max()) + 1
        self._order = np.argsort(node_of, kind='stable')
        self._starts = np.searchsorted(node_of[self._order], np.arange(self.nodes))
        self._sorted = bool((np.diff(node_of) >= 0).all())

    def said(
        self, *, labels: Ints, probabilities: npt.NDArray[np.floating]
    ) -> dict[str, npt.NDArray[Any]]:
        """What `MetricsAccumulator.update` takes, of the nodes of N examples.

        Args:
          labels: of leaves, int64 [N].
          probabilities: of leaves, float [N, C].
        """
        leaves = probabilities if self._sorted else probabilities[:, self._order]
        summed = np.add.reduceat(leaves, self._starts, axis=1, dtype=np.float64)  # [N, nodes]
        nodes = self.node_of[labels]
        of_label = summed[np.arange(len(nodes)), nodes]
        return {
            'labels': nodes,
            'predicted': np.argsort(-summed, axis=1, kind='stable')[:, : metrics.TOP],
            'label_log_probability': np.log(np.maximum(of_label, _SMALLEST)),
        }


def on_level(confusion: Confusion, node_of: Ints) -> Confusion:
    """The confusion of a level's nodes, from that of the leaves."""
    nodes = int(node_of.max()) + 1
    keys = node_of[confusion.label] * nodes + node_of[confusion.predicted]
    distinct, place = np.unique(keys, return_inverse=True)
    label, predicted = np.divmod(distinct, nodes)
    count = np.bincount(place, confusion.count, minlength=len(distinct)).astype(np.int64)
    return Confusion(label, predicted, count)


def above_leaves(tree: Categories) -> tuple[Level, Level]:
    """Level 1 and 2 of a tree; level 3 is that of the leaves."""
    return Level(tree.level1), Level(tree.level2)


def figures(
    leaves: MetricsAccumulator, above: Sequence[tuple[Level, MetricsAccumulator]]
) -> tuple[LevelMetrics, LevelMetrics, LevelMetrics]:
    """The figures of level 1, 2 and 3, from tallies of the leaves and of the nodes above."""
    confusion = leaves.confusion()
    first, second = (
        LevelMetrics(
            level=number,
            nodes=level.nodes,
            accuracy_by_leaf=metrics.accuracy(on_level(confusion, level.node_of)),
            by_sum=metrics.compute_metrics(tally),
        )
        for number, (level, tally) in enumerate(above, start=1)
    )
    third = LevelMetrics(
        3, leaves.num_classes, metrics.accuracy(confusion), metrics.compute_metrics(leaves)
    )
    return first, second, third
