"""Intervals: how much a figure would vary with other products of the same kind. Pure numpy.

The percentile bootstrap (Efron, 1979): products are drawn with replacement, as many as there are,
and the figure is computed again; of `REPLICATES` such figures the middle 95 % is the interval.
A product stays whole, so its pictures, which are alike, do not feign more evidence than there is.
"""

from collections.abc import Mapping

import numpy as np

from trainer.metrics import classification as metrics
from trainer.metrics import coverage
from trainer.metrics.classification import Confusion, Ints
from trainer.metrics.prediction_table import Predictions

REPLICATES = 1000
LEVEL = 0.95
_SEED = 0
_FIGURES = ('accuracy', 'macro_f1', 'weighted_f1', 'matthews', 'kappa')


def intervals(
    products: Predictions, *, target: float, replicates: int = REPLICATES
) -> dict[str, tuple[float, float]]:
    """The interval of each headline figure, by name; none of no products.

    Args:
      products: what is said of each, at least the likeliest five.
      target: accuracy that `coverage` is asked for.
      replicates: how often products are drawn.
    """
    if not len(products.label):
        return {}
    random = np.random.default_rng(_SEED)
    cells = _Cells(products)
    in_top5 = (products.predicted[:, : metrics.TOP] == products.label[:, None]).any(axis=1)
    order = np.argsort(-products.confidence[:, 0], kind='stable')
    confidence, hit = products.confidence[order, 0], products.hit[order]
    found: dict[str, list[float]] = {}
    for _ in range(replicates):
        drawn = random.integers(0, len(order), len(order))
        times = np.bincount(drawn, minlength=len(order))
        curve = coverage.curve(confidence, hit, times[order])
        values = {
            **cells.figures(times),
            'top5_accuracy': float(times @ in_top5 / len(order)),
            'loss': -float(times @ products.label_log_probability / len(order)),
            'coverage': coverage.at(curve, target).share,
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: _middle(values) for name, values in found.items()}


def _middle(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


class _Cells:
    """The products by (label, predicted): a replicate's confusion is a sum over these."""

    def __init__(self, products: Predictions) -> None:
        first = products.predicted[:, 0]
        classes = int(max(products.label.max(), first.max())) + 1
        keys, self._cell = np.unique(products.label * classes + first, return_inverse=True)
        self._label, self._predicted = np.divmod(keys, classes)

    def figures(self, times: Ints) -> Mapping[str, float]:
        """The figures of products that occur `times` often, int64 [N]."""
        counts = np.bincount(self._cell, times, minlength=len(self._label)).astype(np.int64)
        some = counts > 0
        drawn = Confusion(self._label[some], self._predicted[some], counts[some])
        figures = metrics.confusion_metrics(drawn)
        return {name: figures[name] for name in _FIGURES}
