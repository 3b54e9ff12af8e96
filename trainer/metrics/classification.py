"""Figures from labels and predictions, counted as they stream by. Pure numpy: no model, no file.

Memory is that of the distinct (label, predicted) pairs, whatever the number of examples or classes.
Precision, recall and F1 follow scikit-learn's `precision_recall_fscore_support(zero_division=0)`:
a figure whose denominator is zero is 0, and macro is the plain mean over the classes that occur in
the labels or in the predictions. A class that occurs in neither is in no mean.

This module: what follows from who was taken for whom. What needs all probabilities: `levels`,
`calibration`, `roc_auc`; what needs each product: `coverage`, `bootstrap`, `suspects`.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TOP = 5  # of the top-5 accuracy


@dataclass(frozen=True)
class Confusion:
    """How often each label was taken for each other one; pairs that never occur are left out.

    Attributes:
      label: int64 [pairs], ascending, then by `predicted`.
      predicted: int64 [pairs].
      count: int64 [pairs], 1 or more.
    """

    label: Ints
    predicted: Ints
    count: Ints

    def dense(self, num_classes: int) -> Ints:
        """The matrix, rows are labels, int64 [C, C]: for few classes only."""
        matrix = np.zeros((num_classes, num_classes), np.int64)
        matrix[self.label, self.predicted] = self.count
        return matrix


@dataclass(frozen=True)
class PerClass:
    """Figures of the K classes that occur in the labels or the predictions, all [K].

    Attributes:
      label: int64, ascending.
      precision: the share of the predictions of a class that are right.
      recall: the share of the examples of a class that are found.
      f1: their harmonic mean.
      support: int64, how many examples have the label.
      predicted: int64, how many examples were given the label.
    """

    label: Ints
    precision: Floats
    recall: Floats
    f1: Floats
    support: Ints
    predicted: Ints


@dataclass(frozen=True)
class Metrics:
    """Figures of a set of examples, each in [0, 1] but for `examples` and `loss`.

    Attributes:
      examples: how many were counted.
      accuracy: the share whose first prediction is the label.
      top5_accuracy: the share that has the label among the first five predictions.
      loss: the mean of -log(probability of the label), in nats.
      macro_precision: the mean over classes; recall and F1 alike.
      weighted_precision: the mean over classes weighted by support; recall and F1 alike.
      micro_precision: over all examples together; with one label each, all three are the accuracy.
      matthews: the correlation of labels and predictions, in [-1, 1] (Gorodkin, 2004).
      kappa: the agreement beyond that of chance, in [-1, 1] (Cohen, 1960).
    """

    examples: int
    accuracy: float
    top5_accuracy: float
    loss: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    micro_precision: float
    micro_recall: float
    micro_f1: float
    matthews: float
    kappa: float


class MetricsAccumulator:
    """Counts examples as they come.

    Usage:
      tally = MetricsAccumulator(num_classes=5270)
      tally.update(labels=..., predicted=..., label_log_probability=...)  # for each batch
      compute_metrics(tally)
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.examples = 0
        self.top5_hits = 0
        self.loss_sum = 0.0
        self._pairs: Counter[int] = Counter()  # label * num_classes + predicted -> count

    def update(
        self,
        *,
        labels: npt.NDArray[np.integer],
        predicted: npt.NDArray[np.integer],
        label_log_probability: npt.NDArray[np.floating],
    ) -> None:
        """Counts N examples.

        Args:
          labels: int [N].
          predicted: int [N, k], the likeliest first; k is at least 5, or the number of classes.
          label_log_probability: float [N], log of the probability given to the label.

        Raises:
          ValueError: if k is too small for a top-5 accuracy.
        """
        needed = min(TOP, self.num_classes)
        if predicted.shape[1] < needed:
            raise ValueError(f'predicted must have {needed} columns, got {predicted.shape[1]}')
        labels = labels.astype(np.int64)
        self.examples += len(labels)
        self.top5_hits += int((predicted[:, :TOP] == labels[:, None]).any(axis=1).sum())
        self.loss_sum -= float(label_log_probability.sum(dtype=np.float64))
        self._pairs.update((labels * self.num_classes + predicted[:, 0]).tolist())

    def confusion(self) -> Confusion:
        """The pairs counted so far."""
        keys = np.fromiter(self._pairs.keys(), np.int64, len(self._pairs))
        counts = np.fromiter(self._pairs.values(), np.int64, len(self._pairs))
        order = np.argsort(keys)
        label, predicted = np.divmod(keys[order], self.num_classes)
        return Confusion(label, predicted, counts[order])


def per_class(confusion: Confusion) -> PerClass:
    """The figures of each class that occurs."""
    label = np.union1d(confusion.label, confusion.predicted)

    def total(rows: Ints, counts: Ints) -> Ints:
        sums = np.bincount(np.searchsorted(label, rows), counts, minlength=len(label))
        return sums.astype(np.int64)  # exact: counts are far below 2^53

    right = confusion.label == confusion.predicted
    hits = total(confusion.label, confusion.count * right)
    support = total(confusion.label, confusion.count)
    predicted = total(confusion.predicted, confusion.count)
    return PerClass(
        label=label,
        precision=_share(hits, predicted),
        recall=_share(hits, support),
        f1=_share(2 * hits, support + predicted),
        support=support,
        predicted=predicted,
    )


def _share(part: Ints, whole: Ints) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def accuracy(confusion: Confusion) -> float:
    """The share of the examples that are right; 0 of none."""
    hits = confusion.count[confusion.label == confusion.predicted].sum()
    return int(hits) / max(int(confusion.count.sum()), 1)


def matthews(classes: PerClass, *, hits: int) -> float:
    """Matthews correlation of C classes (Gorodkin, 2004); 0 where one of the sides is constant."""
    examples, labels, guesses = _floats(classes)
    both = hits * examples - labels @ guesses
    spread = (examples**2 - guesses @ guesses) * (examples**2 - labels @ labels)
    return float(both / np.sqrt(spread)) if spread > 0 else 0.0


def kappa(classes: PerClass, *, hits: int) -> float:
    """Cohen's kappa: (agreement - that of chance) / (1 - that of chance); 0 where that is 0 / 0."""
    examples, labels, guesses = _floats(classes)
    chance = labels @ guesses
    rest = examples**2 - chance
    return float((hits * examples - chance) / rest) if rest > 0 else 0.0


def _floats(classes: PerClass) -> tuple[float, Floats, Floats]:
    """The number of examples, then support and predicted [K]: products of these pass 2^63."""
    labels = classes.support.astype(np.float64)
    return float(labels.sum()), labels, classes.predicted.astype(np.float64)


def confusion_metrics(confusion: Confusion) -> dict[str, float]:
    """Those of the `Metrics` that follow from the confusion alone, by name; all 0 of nothing."""
    classes = per_class(confusion)
    hits = int(confusion.count[confusion.label == confusion.predicted].sum())
    weights = classes.support / max(int(classes.support.sum()), 1)
    right = accuracy(confusion)
    found = {'accuracy': right}
    for name in ('precision', 'recall', 'f1'):
        values = getattr(classes, name)
        found[f'macro_{name}'] = float(values.mean()) if len(values) else 0.0
        found[f'weighted_{name}'] = float(values @ weights)
        found[f'micro_{name}'] = right
    return {
        **found,
        'matthews': matthews(classes, hits=hits),
        'kappa': kappa(classes, hits=hits),
    }


def compute_metrics(tally: MetricsAccumulator) -> Metrics:
    """The figures of all that was counted; all 0 where nothing was."""
    examples = max(tally.examples, 1)
    return Metrics(
        examples=tally.examples,
        top5_accuracy=tally.top5_hits / examples,
        loss=tally.loss_sum / examples,
        **confusion_metrics(tally.confusion()),
    )


def most_confused(confusion: Confusion, *, limit: int) -> Confusion:
    """The wrong pairs that occur most, the most frequent first; ties in the order of labels."""
    wrong = np.flatnonzero(confusion.label != confusion.predicted)
    chosen = wrong[np.argsort(-confusion.count[wrong], kind='stable')[:limit]]
    return Confusion(confusion.label[chosen], confusion.predicted[chosen], confusion.count[chosen])
