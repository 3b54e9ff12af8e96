"""The classes in three parts by size: how good a model is where it saw much, and where little.

As ImageNet-LT reports many-, medium- and few-shot classes (Liu et al., 2019, arXiv:1904.05160), but
by thirds of the classes: fixed counts would leave parts of a small shop empty.
"""

from dataclasses import dataclass

import numpy as np

from trainer.metrics import classification as metrics
from trainer.metrics.classification import Confusion
from trainer.metrics.classification import Floats

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
