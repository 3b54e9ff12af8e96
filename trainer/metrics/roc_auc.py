"""One-vs-rest ROC AUC over many classes, from streamed probabilities, in bounded memory.

The AUC of a class is the share of (example of the class, other example) pairs in which the former
has the higher probability; ties count half (Hanley and McNeil, 1982). The probabilities of each
class are counted in bins, and all of a bin count as ties: the area by the trapezoidal rule.

Bins have equal widths in the floating-point representation, a 32nd of an octave: of p up to 0.5, of
1 - p above. So they are narrow near 0 and near 1, where a trained model's probabilities crowd.
Only the order within a bin is lost, so a class is off by at most half its share of pairs that fall
into one bin. `RocAuc.error` reports this bound. Measured on softmax outputs of 20,000 examples and
500 classes: macro AUC 0.98586, off by 3e-6, bound 1e-4. The bound is large if all examples have
nearly the same probability of a class, as in an untrained model.

Memory: 19 KB a class (101 MB for 5,270 classes) and 16 bytes an example.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Ints

Scores = npt.NDArray[np.float32]

_BIN_SHIFT = 18  # of a float32's 23 bits of mantissa 5 remain: 32 bins an octave
_HALF_BIN = 0x3F000000 >> _BIN_SHIFT  # the bits of 0.5
_LOWEST_REST = 0x33000000 >> _BIN_SHIFT  # the bits of 2^-25, below the smallest 1 - p but 0
BINS = 2 * _HALF_BIN - _LOWEST_REST + 2  # 4,802


@dataclass(frozen=True)
class RocAuc:
    """Means over the classes that have both examples and other examples; 0 if there is none.

    Attributes:
      macro: Unweighted mean over classes.
      weighted: Mean over classes, weighted by their number of examples.
      classes: Number of classes in the means.
      error: Bound: `macro` and `weighted` differ from the unbinned values by at most this.
    """

    macro: float
    weighted: float
    classes: int
    error: float


class RocAucAccumulator:
    """Counts the probabilities of each class in bins, batch by batch."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._counts = np.zeros((num_classes, BINS), np.uint32)
        self._first_bin = np.arange(num_classes, dtype=np.int64)[:, np.newaxis] * BINS
        self._labels: list[Ints] = []
        self._own: list[Ints] = []  # bin of the label's probability

    def update(self, *, labels: Ints, probabilities: Scores) -> None:
        """Counts N examples: labels int [N], probabilities float32 [N, C]."""
        self._labels.append(labels.astype(np.int64))
        self._own.append(_bins(probabilities[np.arange(len(labels)), labels]))
        by_class = _bins(np.ascontiguousarray(probabilities.T))  # a class at a time fits the cache
        flat = (by_class + self._first_bin).reshape(-1)
        np.add.at(self._counts.reshape(-1), flat, np.uint32(1))

    def compute(self) -> RocAuc:
        """Returns the AUC of all examples so far."""
        labels = np.concatenate([np.zeros(0, np.int64), *self._labels])
        own = np.concatenate([np.zeros(0, np.int64), *self._own])
        support = np.bincount(labels, minlength=self.num_classes)
        chosen = np.flatnonzero((support > 0) & (support < len(labels)))
        if not len(chosen):
            return RocAuc(0.0, 0.0, 0, 0.0)
        parts = np.split(own[np.argsort(labels, kind='stable')], np.cumsum(support)[:-1])
        auc, error = np.array([self._class_auc(c, parts[c]) for c in chosen.tolist()]).T
        weights = support[chosen] / support[chosen].sum()
        return RocAuc(
            macro=float(auc.mean()),
            weighted=float(auc @ weights),
            classes=len(chosen),
            error=float(max(error.mean(), error @ weights)),
        )

    def _class_auc(self, label: int, own: Ints) -> tuple[float, float]:
        """The AUC of a class and the bound of its error, from the bins of its own examples."""
        positives = np.bincount(own, minlength=BINS)
        negatives = self._counts[label].astype(np.int64) - positives
        below = np.cumsum(negatives) - negatives
        pairs = float(positives.sum() * negatives.sum())
        ties = float(positives @ negatives)
        return (float(positives @ below) + ties / 2) / pairs, ties / 2 / pairs


def _bins(probabilities: Scores) -> Ints:
    """The bin of each probability, ascending with it: the bits of positive floats are ordered."""
    capped = np.minimum(probabilities, np.float32(1))
    low = (capped.view(np.uint32) >> _BIN_SHIFT).astype(np.int64)
    rest = ((np.float32(1) - capped).view(np.uint32) >> _BIN_SHIFT).astype(np.int64)
    high = BINS - 1 + _LOWEST_REST - np.maximum(rest, _LOWEST_REST)
    return np.where(capped < np.float32(0.5), low, high)
