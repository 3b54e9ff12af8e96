"""Which products a report shows: of the most confused pairs, and the most suspicious.

Finds products' photos in the shards again, small enough for a page.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from catalog.formats import image_header
from trainer.config import TrainConfig
from trainer.data import input_pipeline
from trainer.data.data_set import DataSet
from trainer.metrics import classification as metrics
from trainer.metrics.classification import Confusion, Ints
from trainer.metrics.label_errors import LabelErrors
from trainer.metrics.prediction_table import Predictions

MAX_VIEWS = 4  # of a product

_SIDE = 200  # pixels; Kaggle's have 180 and stay as they are

Photos = dict[int, tuple[bytes, ...]]  # product id -> its first views, encoded


def find(data: DataSet, split: str, products: Iterable[int], *, config: TrainConfig) -> Photos:
    """The photos of some products; reads the shards of the split once, decodes none of them."""
    wanted = tf.constant(sorted(set(products)), tf.int64)
    if not len(wanted):
        return {}

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures = input_pipeline.parse_pictures(serialized)
        place = tf.searchsorted(wanted, pictures['product_id'])
        found = tf.gather(wanted, tf.minimum(place, len(wanted) - 1)) == pictures['product_id']
        names = ('product_id', 'index', 'encoded')
        return {name: tf.boolean_mask(pictures[name], found) for name in names}

    batches = input_pipeline.evaluation_stream(
        data, split, config, parse=parse, decode=lambda pictures: pictures
    )
    found: dict[int, dict[int, bytes]] = {}
    for batch in batches.as_numpy_iterator():
        columns = (batch['product_id'].tolist(), batch['index'].tolist(), batch['encoded'].tolist())
        for product_id, index, encoded in zip(*columns, strict=True):
            found.setdefault(product_id, {})[index] = encoded  # copies of a product are alike
    return {
        product_id: tuple(thumbnail(views[i]) for i in sorted(views)[:MAX_VIEWS])
        for product_id, views in found.items()
    }


def thumbnail(encoded: bytes) -> bytes:
    """A photo as it is, or if it is large, as a JPEG of at most 200x200 pixels."""
    header = image_header.read_header(encoded)
    if max(header.width, header.height) <= _SIDE:
        return encoded
    with Image.open(io.BytesIO(encoded)) as image:
        image.draft('RGB', (_SIDE, _SIDE))
        small = image.convert('RGB')
        small.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        small.save(buffer, 'JPEG', quality=85)
    return buffer.getvalue()


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


def choose(rows: Predictions, suspects: LabelErrors, confusion: Confusion) -> Showcase:
    """What to show of N products."""
    worst = metrics.most_confused(confusion, limit=_PAIRS)
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
