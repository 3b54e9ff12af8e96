"""Suspected wrong labels, by confident learning (Northcutt et al., 2021, arXiv:1911.00068).

From probabilities of a model that never learned from the products. A product *confidently* is of
class j if its probability of j is at least the mean probability of j of the products labelled j; of
several such classes the likeliest counts. As many products are suspected as are confidently of
another class than their label: the off-diagonal of the paper's confident joint. They are those
with the least probability of their own label, its rank by self-confidence, but none whose likeliest
class is its label. Pure numpy.

Of a product the likeliest k classes are known, and its label's probability. A class beyond these
is never its confident one: with many classes the joint then counts a little less.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Floats, Ints


@dataclass(frozen=True)
class LabelErrors:
    """Products whose label is suspected, the most suspicious first.

    Attributes:
      row: int64 [S], which of the products.
      suggested: int64 [S], the likeliest class of each.
    """

    row: Ints
    suggested: Ints

    def __len__(self) -> int:
        return len(self.row)


def thresholds(label: Ints, own: npt.NDArray[np.floating], *, num_classes: int) -> Floats:
    """The mean probability of a class of the products labelled so, float64 [C].

    A class without products is never confident: its threshold is above 1.
    """
    count = np.bincount(label, minlength=num_classes)
    total = np.bincount(label, own, minlength=num_classes)
    mean: Floats = np.divide(total, count, out=np.full(num_classes, 2.0), where=count > 0)
    return mean


def find(
    *,
    label: Ints,
    own: npt.NDArray[np.floating],
    predicted: Ints,
    probability: npt.NDArray[np.floating],
    num_classes: int,
) -> LabelErrors:
    """The suspects among N products.

    Args:
      label: int64 [N].
      own: float [N], probability of the label.
      predicted: int64 [N, k], the likeliest first.
      probability: float [N, k], of those.
      num_classes: C.
    """
    least = thresholds(label, own, num_classes=num_classes)
    # Of a class with one product the threshold is the product's own probability, but for rounding.
    confident = probability >= least[predicted] * (1 - 1e-6)  # [N, k]; the first one counts
    place = confident.argmax(axis=1)
    rows = np.arange(len(label))
    confidently = np.where(confident[rows, place], predicted[rows, place], label)
    count = int((confidently != label).sum())
    other = np.flatnonzero(predicted[:, 0] != label)
    chosen = other[np.argsort(own[other], kind='stable')[:count]]
    return LabelErrors(row=chosen, suggested=predicted[chosen, 0])
