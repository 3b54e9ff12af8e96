"""Confidence intervals: how much a metric would vary with other products of the same kind.

The percentile bootstrap (Efron, 1979): N products are drawn with replacement and the metric is
computed again; the interval is the middle 95 % of `REPLICATES` such values. The unit is the
product: its pictures are alike, so they are drawn together.

How often each product is drawn follows a multinomial distribution (Efron and Tibshirani, 1993,
chapter 20), and so does how often each *cell* of equivalent products is drawn. So counts of cells
are drawn, not products: cells of the confusion matrix, and, for the loss and the coverage,
runs of products with neighbouring values. With up to `MAX_RUNS` products each distinct value is a
cell and the method is exact; beyond it a run of N / `MAX_RUNS` products shares its mean loss, and
coverage is resolved to about 1 / `MAX_RUNS`.
"""

import numpy as np
import numpy.typing as npt

from trainer.metrics import classification
from trainer.metrics.classification import Floats, Ints
from trainer.metrics.prediction_table import Predictions

REPLICATES = 1000
LEVEL = 0.95
MAX_RUNS = 4096

_SEED = 0
_FREQUENT = 32  # products of a cell, from which drawing its count is faster than drawing products
_CONFUSION_METRICS = ('accuracy', 'macro_f1', 'weighted_f1', 'matthews', 'kappa')


def confidence_intervals(
    products: Predictions, *, target: float, replicates: int = REPLICATES
) -> dict[str, tuple[float, float]]:
    """Returns the interval [low, high] of each headline metric, by name; empty for no products.

    Args:
      products: N products with their likeliest five classes, or more.
      target: Accuracy at which `coverage` is measured.
      replicates: Number of bootstrap samples.
    """
    if not len(products.label):
        return {}
    random = np.random.default_rng(_SEED)
    values = {
        **_confusion_values(products, random, replicates=replicates),
        'top5_accuracy': _top5_values(products, random, replicates=replicates),
        'loss': _loss_values(-products.label_log_probability, random, replicates=replicates),
        'coverage': _coverage_values(
            products.confidence[:, 0], products.hit, random, target=target, replicates=replicates
        ),
    }
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {name: np.quantile(drawn, ends) for name, drawn in values.items()}
    return {name: (float(low), float(high)) for name, (low, high) in intervals.items()}


class _Cells:
    """Cells of equivalent products, from which bootstrap samples are drawn.

    Attributes:
      count: Products of each cell, int64 [K], 1 or more.
    """

    def __init__(self, count: Ints) -> None:
        self.count = count
        self._total = int(count.sum())
        self._frequent = np.flatnonzero(count >= _FREQUENT)
        rare = np.flatnonzero(count < _FREQUENT)
        self._rare_cells = np.repeat(rare, count[rare])  # the cell of each product in a rare cell
        drawn = [*count[self._frequent], len(self._rare_cells)]
        self._probabilities = np.array(drawn) / self._total

    def draw(self, random: np.random.Generator) -> Ints:
        """Draws as many products as there are: how often each cell occurs, int64 [K]."""
        *frequent, rare = random.multinomial(self._total, self._probabilities)
        if not len(self._rare_cells):
            times = np.zeros(len(self.count), np.int64)
        else:
            products = random.integers(len(self._rare_cells), size=rare, dtype=np.uint32)
            times = np.bincount(self._rare_cells[products], minlength=len(self.count))
        times[self._frequent] = frequent
        return times


def _confusion_values(
    products: Predictions, random: np.random.Generator, *, replicates: int
) -> dict[str, Floats]:
    """The metrics that follow from the confusion matrix, float64 [replicates] each."""
    first = products.predicted[:, 0]
    classes = int(max(products.label.max(), first.max())) + 1
    keys, count = np.unique(products.label * classes + first, return_counts=True)
    label, predicted = np.divmod(keys, classes)
    hit = label == predicted
    cells = _Cells(count)
    drawn: dict[str, list[float]] = {name: [] for name in _CONFUSION_METRICS}
    for _ in range(replicates):
        times = cells.draw(random)
        hits = np.zeros(classes, np.int64)
        hits[label[hit]] = times[hit]
        support = np.bincount(label, times, minlength=classes).astype(np.int64)
        guesses = np.bincount(predicted, times, minlength=classes).astype(np.int64)
        some = np.flatnonzero(support + guesses)
        found = classification.confusion_metrics(
            classification.class_metrics(
                some, hits=hits[some], support=support[some], predicted=guesses[some]
            )
        )
        for name in _CONFUSION_METRICS:
            drawn[name].append(found[name])
    return {name: np.array(values) for name, values in drawn.items()}


def _top5_values(products: Predictions, random: np.random.Generator, *, replicates: int) -> Floats:
    in_top5 = (products.predicted[:, : classification.TOP] == products.label[:, None]).any(axis=1)
    values: Floats = random.binomial(len(in_top5), in_top5.mean(), replicates) / len(in_top5)
    return values


def _loss_values(losses: Floats, random: np.random.Generator, *, replicates: int) -> Floats:
    run = _runs(losses)
    cells = _Cells(np.bincount(run))
    mean = np.bincount(run, losses) / cells.count
    return np.array([cells.draw(random) @ mean for _ in range(replicates)]) / len(losses)


def _coverage_values(
    confidence: npt.NDArray[np.floating],
    hit: npt.NDArray[np.bool_],
    random: np.random.Generator,
    *,
    target: float,
    replicates: int,
) -> Floats:
    """The coverage at the target accuracy, see `coverage`."""
    keys, count = np.unique(2 * _runs(-confidence) + hit, return_counts=True)
    run, right = np.divmod(keys, 2)
    last = np.flatnonzero(np.append(run[1:] != run[:-1], True))  # a threshold is between runs
    cells = _Cells(count)
    values = np.zeros(replicates)
    for replicate in range(replicates):
        times = cells.draw(random)
        chosen, hits = np.cumsum(times)[last], np.cumsum(times * right)[last]
        enough = np.flatnonzero((hits / np.maximum(chosen, 1) >= target) & (chosen > 0))
        values[replicate] = chosen[enough[-1]] / len(hit) if len(enough) else 0.0
    return values


def _runs(values: npt.NDArray[np.floating]) -> Ints:
    """Divides N values into at most `MAX_RUNS` runs of neighbours; equal values stay together.

    Returns:
      The run of each value, int64 [N]: 0, 1, …, ascending with the values.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(count) - count  # how many are smaller
    size = max(len(values) / MAX_RUNS, 1.0)
    runs: Ints = np.unique((first / size).astype(np.int64), return_inverse=True)[1][place]
    return runs
