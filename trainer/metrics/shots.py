"""Metrics of many-, medium- and few-shot classes: how well rare classes are learned.

As ImageNet-LT reports them (Liu et al., 2019, arXiv:1904.05160), but each group is a third of the
classes: with fixed counts a small data set would have empty groups.
"""

from dataclasses import dataclass

import numpy as np

from trainer.metrics import classification
from trainer.metrics.classification import Confusion, Floats, Ints

NAMES = ('many', 'medium', 'few')


@dataclass(frozen=True)
class ShotMetrics:
    """Metrics of a third of the classes.

    Attributes:
      name: `many`, `medium` or `few`.
      classes: Number of classes.
      measured: Number of classes that have examples.
      examples: Number of examples with a label of these classes.
      accuracy: Share of these examples that are right.
      macro_recall: Mean recall of the measured classes.
    """

    name: str
    classes: int
    measured: int
    examples: int
    accuracy: float
    macro_recall: float


def compute_shot_metrics(confusion: Confusion, class_sizes: Floats) -> tuple[ShotMetrics, ...]:
    """Returns the metrics of each third of the classes, the largest classes first.

    Args:
      confusion: Of the leaves.
      class_sizes: Frequency of each class in the training data, float [C]; of equal classes the
        one with the smaller label counts as larger.
    """
    parts = np.array_split(np.argsort(-class_sizes, kind='stable'), len(NAMES))
    return tuple(
        _shot_metrics(confusion, part, name) for name, part in zip(NAMES, parts, strict=True)
    )


def _shot_metrics(confusion: Confusion, labels: Ints, name: str) -> ShotMetrics:
    rows = np.isin(confusion.label, labels)
    own = Confusion(confusion.label[rows], confusion.predicted[rows], confusion.count[rows])
    classes = classification.compute_class_metrics(own)
    measured = classes.support > 0
    return ShotMetrics(
        name=name,
        classes=len(labels),
        measured=int(measured.sum()),
        examples=int(own.count.sum()),
        accuracy=classification.accuracy(own),
        macro_recall=float(classes.recall[measured].mean()) if measured.any() else 0.0,
    )
