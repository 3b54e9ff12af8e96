"""Predicts products chunk by chunk.

A chunk is what the model computes together. The bits of its results may depend on the other
products of the chunk, so chunks depend on the input alone: the same rows from any command.
"""

import collections
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from catalog.predictions import ranking
from catalog.predictions.columns import Columns, ProductPrediction
from catalog.predictions.decoding import DecodedPictures, decode_pictures
from catalog.predictions.model import Model

CHUNK_PRODUCTS = 128  # by default


class HasPictures(Protocol):
    """A product with encoded pictures."""

    @property
    def pictures(self) -> Sequence[bytes]:
        """The encoded pictures, in source order."""


P = TypeVar('P', bound=HasPictures)


@dataclass(frozen=True)
class Predicted(Generic[P]):
    """A chunk.

    Attributes:
      products: The products.
      decoded: Their decodable pictures.
      predictions: Of each product.
    """

    products: Sequence[P]
    decoded: DecodedPictures
    predictions: Sequence[ProductPrediction]


def predict_chunks(
    chunks: Iterable[Sequence[P]],
    model: Model,
    columns: Columns,
    *,
    threshold: float | None = None,
) -> Iterator[Predicted[P]]:
    """Yields predicted chunks, in order. Decodes on all cores while the model computes.

    Args:
      chunks: Products that the model computes together.
      model: The model.
      columns: Which predictions are needed.
      threshold: Minimum summed confidence of a level; None for the model's own.
    """
    for products, decoded in _decode_ahead(chunks, model):
        predictions = _predict(len(products), decoded, model, columns, threshold)
        yield Predicted(products, decoded, predictions)


def _decode_ahead(
    chunks: Iterable[Sequence[P]], model: Model
) -> Iterator[tuple[Sequence[P], DecodedPictures]]:
    """Yields chunks, decoded a few ahead of the model."""
    cores = len(os.sched_getaffinity(0))
    ahead: collections.deque[tuple[Sequence[P], Future[DecodedPictures]]] = collections.deque()
    with ThreadPoolExecutor(cores, 'decode') as pool:
        for products in chunks:
            pictures = [product.pictures for product in products]
            ahead.append((products, pool.submit(decode_pictures, pictures, model.decode)))
            if len(ahead) > cores + 1:
                first, future = ahead.popleft()
                yield first, future.result()
        while ahead:
            first, future = ahead.popleft()
            yield first, future.result()


def _predict(
    count: int,
    decoded: DecodedPictures,
    model: Model,
    columns: Columns,
    threshold: float | None,
) -> list[ProductPrediction]:
    """Returns the predictions of a chunk; without a decodable picture, the most common category."""
    seen, numbers = np.unique(decoded.product, return_inverse=True)
    category_id, share = model.folder.most_common
    predictions = [ProductPrediction([category_id], [share], level=0)] * count
    if not len(seen):
        return predictions
    probabilities = model.probabilities(decoded.images, numbers.astype(np.int64))
    label = ranking.top_labels(probabilities, min(columns.top_k, len(model.folder.tree)))
    confidence = np.take_along_axis(probabilities, label, axis=1)
    level = np.zeros(len(seen), np.int64)
    if columns.level:
        limit = model.folder.threshold if threshold is None else threshold
        level = ranking.deepest_level(probabilities, model.folder.tree, threshold=limit)
    found = (model.folder.tree.shown_ids[label], confidence, level)
    rows = zip(*(column.tolist() for column in found), strict=True)
    for row, prediction in zip(seen.tolist(), rows, strict=True):
        predictions[row] = ProductPrediction(*prediction)
    return predictions
