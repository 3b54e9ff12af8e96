"""Which products a report shows: of the most confused pairs, and the suspected label errors.

Knows no TensorFlow; `sample_images` loads their images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.metrics import classification
from trainer.metrics.classification import Confusion, Ints
from trainer.metrics.label_errors import LabelErrors
from trainer.metrics.prediction_table import Predictions

SampleImages = dict[int, tuple[bytes, ...]]  # product id -> its first views, encoded

_PAIRS = 12
_WRONG = 4  # products of a pair that were taken for the other class
_TYPICAL = 2  # products of that other class, for comparison
_SUSPECTS = 48


@dataclass(frozen=True)
class Pair:
    """A confused pair.

    Attributes:
      label: what the products are.
      predicted: what they were taken for.
      count: how many were.
      wrong: rows of the surest of these.
      typical: rows of the surest products that rightly are of class `predicted`.
    """

    label: int
    predicted: int
    count: int
    wrong: Ints
    typical: Ints


@dataclass(frozen=True)
class Showcase:
    """Rows of the products to show.

    Attributes:
      pairs: the most confused first.
      suspects: the most suspicious first, int64 [n].
    """

    pairs: tuple[Pair, ...]
    suspects: Ints

    def products(self, rows: Predictions) -> Iterator[int]:
        """The product ids of all of them."""
        parts = [
            self.suspects,
            *(part for pair in self.pairs for part in (pair.wrong, pair.typical)),
        ]
        yield from rows.product_id[np.concatenate(parts).astype(np.int64)].tolist()


def select_showcase(rows: Predictions, suspects: LabelErrors, confusion: Confusion) -> Showcase:
    """What to show of N products."""
    worst = classification.most_confused(confusion, limit=_PAIRS)
    pairs = zip(worst.label.tolist(), worst.predicted.tolist(), worst.count.tolist(), strict=True)
    return Showcase(
        pairs=tuple(
            Pair(
                label=label,
                predicted=predicted,
                count=count,
                wrong=_surest(rows, label, predicted)[:_WRONG],
                typical=_surest(rows, predicted, predicted)[:_TYPICAL],
            )
            for label, predicted, count in pairs
        ),
        suspects=suspects.row[:_SUSPECTS],
    )


def _surest(rows: Predictions, label: int, predicted: int) -> Ints:
    """The rows of a cell of the confusion, the most confident first."""
    cell = np.flatnonzero((rows.label == label) & (rows.predicted[:, 0] == predicted))
    order: Ints = cell[np.argsort(-rows.confidence[cell, 0], kind='stable')]
    return order
