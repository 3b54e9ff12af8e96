"""Suspected label errors, by confident learning (Northcutt et al., 2021, arXiv:1911.00068).

The probabilities must come from a model that was not trained on these products. A product is
*confidently* of class j if its probability of j is at least the mean probability of j over the
products labelled j; if there are several such classes, the likeliest counts. The number of
suspected label errors is the number of products that are confidently of another class than their
label: the off-diagonal sum of the paper's confident joint. The suspected products are those with
the smallest probability of their label (the paper's ranking by self-confidence), among those whose
likeliest class is not their label.

The paper takes a model that has learned for granted: by a model that guesses, most
products are confidently of a wrong class. So there is a floor: without a Cohen's kappa of at
least `LEAST_KAPPA` no label is suspected.

Only a product's likeliest k classes and its label's probability are known. A class beyond the k is
never confident, so with many classes the count is slightly lower than the paper's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Floats, Ints

LEAST_KAPPA = 0.4  # below it, agreement is at most fair (Landis and Koch, 1977)


@dataclass(frozen=True)
class LabelErrors:
    """Products with a suspected label error, the most suspicious first.

    Attributes:
      row: Rows of the products, int64 [S].
      suggested: The likeliest class of each, int64 [S].
      kappa: Cohen's kappa of the model that suspects them, at least.
    """

    row: Ints
    suggested: Ints
    kappa: float

    @property
    def has_learned(self) -> bool:
        """Whether the model has learned enough to suspect a label."""
        return self.kappa >= LEAST_KAPPA

    def __len__(self) -> int:
        return len(self.row)


def find_label_errors(
    *,
    label: Ints,
    own: npt.NDArray[np.floating],
    predicted: Ints,
    probability: npt.NDArray[np.floating],
    kappa: float,
    num_classes: int,
) -> LabelErrors:
    """Returns the suspected label errors among N products.

    Args:
      label: int64 [N].
      own: Probability of the label, float [N].
      predicted: int64 [N, k], the likeliest first.
      probability: Of the predicted classes, float [N, k].
      kappa: Cohen's kappa of the predictions: the lower end of its confidence interval, since that
        of a few products may be high by chance.
      num_classes: C.
    """
    if kappa < LEAST_KAPPA:
        nothing = np.zeros(0, np.int64)
        return LabelErrors(row=nothing, suggested=nothing, kappa=kappa)
    least = class_thresholds(label, own, num_classes=num_classes)
    # The threshold of a class with one product is that product's own probability, up to rounding.
    confident = probability >= least[predicted] * (1 - 1e-6)  # [N, k]; the first one counts
    place = confident.argmax(axis=1)
    rows = np.arange(len(label))
    confidently = np.where(confident[rows, place], predicted[rows, place], label)
    count = int((confidently != label).sum())
    other = np.flatnonzero(predicted[:, 0] != label)
    chosen = other[np.argsort(own[other], kind='stable')[:count]]
    return LabelErrors(row=chosen, suggested=predicted[chosen, 0], kappa=kappa)


def class_thresholds(label: Ints, own: npt.NDArray[np.floating], *, num_classes: int) -> Floats:
    """Returns the mean probability of each class over the products labelled so, float64 [C].

    The threshold of a class without products is above 1: it is never confident.
    """
    count = np.bincount(label, minlength=num_classes)
    total = np.bincount(label, own, minlength=num_classes)
    mean: Floats = np.divide(total, count, out=np.full(num_classes, 2.0), where=count > 0)
    return mean
