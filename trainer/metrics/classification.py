"""Classification metrics from labels and predictions, counted batch by batch.

Memory depends on the number of distinct (label, predicted) pairs, not on that of examples or
classes. Precision, recall and F1 follow scikit-learn's
`precision_recall_fscore_support(zero_division=0)`: a metric whose denominator is 0 is 0, and macro
is the unweighted mean over the classes that occur in the labels or in the predictions.

Other metrics: `levels`, `calibration` and `roc_auc` need all probabilities; `coverage`, `bootstrap`
and `label_errors` need each product.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TOP = 5  # k of the top-k accuracy


@dataclass(frozen=True)
class Confusion:
    """A sparse confusion matrix: the pairs that occur.

    Attributes:
      label: int64 [pairs], ascending, then by `predicted`.
      predicted: int64 [pairs].
      count: int64 [pairs], 1 or more.
    """

    label: Ints
    predicted: Ints
    count: Ints

    def dense(self, num_classes: int) -> Ints:
        """Returns the matrix, rows are labels, int64 [C, C]: for few classes only."""
        matrix = np.zeros((num_classes, num_classes), np.int64)
        matrix[self.label, self.predicted] = self.count
        return matrix


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of the K classes that occur in the labels or the predictions, all [K].

    Attributes:
      label: int64, ascending.
      precision: Share of the predictions of the class that are right.
      recall: Share of the examples of the class that are found.
      f1: Harmonic mean of precision and recall.
      support: Number of examples with the label, int64.
      predicted: Number of examples that were predicted to be of the class, int64.
    """

    label: Ints
    precision: Floats
    recall: Floats
    f1: Floats
    support: Ints
    predicted: Ints


@dataclass(frozen=True)
class Metrics:
    """Metrics of a set of examples, each in [0, 1] unless noted.

    Attributes:
      examples: Number of examples.
      accuracy: Share whose first prediction is the label.
      top5_accuracy: Share that has the label among the first five predictions.
      loss: Mean of -log(probability of the label), in nats.
      macro_precision: Mean over classes; recall and F1 likewise.
      weighted_precision: Mean over classes weighted by support; recall and F1 likewise.
      micro_precision: Over all examples together; with one label each, all three are the accuracy.
      matthews: Correlation of labels and predictions, in [-1, 1] (Gorodkin, 2004).
      kappa: Agreement beyond chance, in [-1, 1] (Cohen, 1960).
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
    """Counts examples, batch by batch.

    Usage:
      accumulator = MetricsAccumulator(num_classes=5270)
      accumulator.update(labels=..., predicted=..., label_log_probability=...)  # for each batch
      compute_metrics(accumulator)
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
          label_log_probability: float [N], log of the label's probability.

        Raises:
          ValueError: If k is too small for a top-5 accuracy.
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
        """Returns the confusion of the examples so far."""
        keys = np.fromiter(self._pairs.keys(), np.int64, len(self._pairs))
        counts = np.fromiter(self._pairs.values(), np.int64, len(self._pairs))
        order = np.argsort(keys)
        label, predicted = np.divmod(keys[order], self.num_classes)
        return Confusion(label, predicted, counts[order])


def compute_metrics(accumulator: MetricsAccumulator) -> Metrics:
    """Returns the metrics of all counted examples; all 0 if there are none."""
    examples = max(accumulator.examples, 1)
    return Metrics(
        examples=accumulator.examples,
        top5_accuracy=accumulator.top5_hits / examples,
        loss=accumulator.loss_sum / examples,
        **confusion_metrics(compute_class_metrics(accumulator.confusion())),
    )


def compute_class_metrics(confusion: Confusion) -> ClassMetrics:
    """Returns the metrics of each class that occurs."""
    label = np.union1d(confusion.label, confusion.predicted)

    def total(rows: Ints, counts: Ints) -> Ints:
        sums = np.bincount(np.searchsorted(label, rows), counts, minlength=len(label))
        return sums.astype(np.int64)  # exact: counts are far below 2^53

    right = confusion.label == confusion.predicted
    return class_metrics(
        label,
        hits=total(confusion.label, confusion.count * right),
        support=total(confusion.label, confusion.count),
        predicted=total(confusion.predicted, confusion.count),
    )


def class_metrics(label: Ints, *, hits: Ints, support: Ints, predicted: Ints) -> ClassMetrics:
    """Returns the metrics of K classes from the diagonal and the margins of their confusion."""
    return ClassMetrics(
        label=label,
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + predicted),
        support=support,
        predicted=predicted,
    )


def _ratio(part: Ints, total: Ints) -> Floats:
    return np.divide(part, total, out=np.zeros(len(part)), where=total > 0)


def confusion_metrics(classes: ClassMetrics) -> dict[str, float]:
    """Returns the `Metrics` that follow from the confusion alone, by name; all 0 for no classes."""
    examples = int(classes.support.sum())
    hits = round(float(classes.recall @ classes.support))
    weights = classes.support / max(examples, 1)
    micro = hits / max(examples, 1)
    found = {'accuracy': micro}
    for name in ('precision', 'recall', 'f1'):
        values = getattr(classes, name)
        found[f'macro_{name}'] = float(values.mean()) if len(values) else 0.0
        found[f'weighted_{name}'] = float(values @ weights)
        found[f'micro_{name}'] = micro
    return {
        **found,
        'matthews': matthews_correlation(classes, hits=hits),
        'kappa': cohen_kappa(classes, hits=hits),
    }


def accuracy(confusion: Confusion) -> float:
    """Returns the share of the examples that are right; 0 if there are none."""
    hits = confusion.count[confusion.label == confusion.predicted].sum()
    return int(hits) / max(int(confusion.count.sum()), 1)


def matthews_correlation(classes: ClassMetrics, *, hits: int) -> float:
    """Returns the Matthews correlation (Gorodkin, 2004); 0 for constant labels or predictions."""
    examples, labels, guesses = _margins(classes)
    both = hits * examples - labels @ guesses
    spread = (examples**2 - guesses @ guesses) * (examples**2 - labels @ labels)
    return float(both / np.sqrt(spread)) if spread > 0 else 0.0


def cohen_kappa(classes: ClassMetrics, *, hits: int) -> float:
    """Returns (agreement - chance agreement) / (1 - chance agreement); 0 where that is 0 / 0."""
    examples, labels, guesses = _margins(classes)
    chance = labels @ guesses
    rest = examples**2 - chance
    return float((hits * examples - chance) / rest) if rest > 0 else 0.0


def _margins(classes: ClassMetrics) -> tuple[float, Floats, Floats]:
    """The number of examples, support and predicted [K], as floats: their products pass 2^63."""
    labels = classes.support.astype(np.float64)
    return float(labels.sum()), labels, classes.predicted.astype(np.float64)


def most_confused(confusion: Confusion, *, limit: int) -> Confusion:
    """Returns the wrong pairs that occur most, the most frequent first; ties by label."""
    wrong = np.flatnonzero(confusion.label != confusion.predicted)
    chosen = wrong[np.argsort(-confusion.count[wrong], kind='stable')[:limit]]
    return Confusion(confusion.label[chosen], confusion.predicted[chosen], confusion.count[chosen])
