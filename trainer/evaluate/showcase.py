"""Which products a report shows: of the most confused pairs, and suspected label errors.

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

_MAX_PAIRS = 12
_MAX_CONFUSED = 4  # products of a pair
_MAX_TYPICAL = 2  # products of the predicted class, for comparison
_MAX_LABEL_ERRORS = 48


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes that are often confused.

    Attributes:
      label: Class of the products.
      predicted: Class that they were predicted to be.
      count: Number of these products.
      confused: Rows of the most confident of them.
      typical: Rows of the most confident products that really are of class `predicted`.
    """

    label: int
    predicted: int
    count: int
    confused: Ints
    typical: Ints


@dataclass(frozen=True)
class Showcase:
    """Rows of the products to show.

    Attributes:
      pairs: The most confused first.
      label_errors: The most suspicious first, int64 [n].
    """

    pairs: tuple[ConfusedPair, ...]
    label_errors: Ints

    def product_ids(self, predictions: Predictions) -> Iterator[int]:
        """Yields the ids of all products to show."""
        parts = [
            self.label_errors,
            *(part for pair in self.pairs for part in (pair.confused, pair.typical)),
        ]
        yield from predictions.product_id[np.concatenate(parts).astype(np.int64)].tolist()


def select_showcase(
    predictions: Predictions, label_errors: LabelErrors, confusion: Confusion
) -> Showcase:
    """Selects what to show of N products."""
    worst = classification.most_confused(confusion, limit=_MAX_PAIRS)
    pairs = zip(worst.label.tolist(), worst.predicted.tolist(), worst.count.tolist(), strict=True)
    return Showcase(
        pairs=tuple(
            ConfusedPair(
                label=label,
                predicted=predicted,
                count=count,
                confused=_most_confident(predictions, label, predicted)[:_MAX_CONFUSED],
                typical=_most_confident(predictions, predicted, predicted)[:_MAX_TYPICAL],
            )
            for label, predicted, count in pairs
        ),
        label_errors=label_errors.row[:_MAX_LABEL_ERRORS],
    )


def _most_confident(predictions: Predictions, label: int, predicted: int) -> Ints:
    """The rows of a cell of the confusion matrix, the most confident first."""
    cell = np.flatnonzero((predictions.label == label) & (predictions.predicted[:, 0] == predicted))
    order: Ints = cell[np.argsort(-predictions.confidence[cell, 0], kind='stable')]
    return order
