"""Answers a part of a source: reads, decodes, predicts, encodes rows. Knows no Beam."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from beam_pipelines import ledger
from beam_pipelines.ledger import Counts
from beam_pipelines.local.meter import Meter
from beam_pipelines.predict import parts
from beam_pipelines.predict.options import PredictOptions
from beam_pipelines.predict.parts import Part
from beam_pipelines.scan.rejected_pieces import DEFAULT_LIMIT, RejectedPieces
from catalog.inputs.products import InputProduct, products_in, unseen_product
from catalog.predictions import predicting
from catalog.predictions.columns import Row
from catalog.predictions.formats import Format
from catalog.predictions.model import Model
from catalog.predictions.predicting import Predicted
from catalog.predictions.truth import count_correct, true_category
from catalog.sources.source import Rejected, Source

PREDICTED, DECODED = 'predicted', 'decoded'  # places of the ledger
UNSEEN, LABELLED, CORRECT, UNKNOWN = 'unseen_products', 'labelled', 'correct', 'unknown_categories'


@dataclass(frozen=True)
class Answers:
    """The answers to a part.

    Attributes:
      number: Number of the part.
      rows: Its rows, encoded.
      counts: What was read, and where it went.
      rejected: Undecodable pictures and damaged documents.
    """

    number: int
    rows: bytes
    counts: Counts
    rejected: RejectedPieces


@dataclass(frozen=True)
class Answerer:
    """Answers parts. Small and picklable, so that it can be sent to every worker.

    Attributes:
      source: The source.
      labelled: Whether its categories are compared with the predictions.
      options: The options.
      form: How rows are encoded.
      keep_rejected: Most rejected pieces to keep; all of them are counted.
      meter: Receives the progress.
    """

    source: Source
    labelled: bool
    options: PredictOptions
    form: Format
    keep_rejected: int = DEFAULT_LIMIT
    meter: Meter = field(default_factory=Meter)

    def __call__(self, model: Model, part: Part) -> Answers:
        """Returns the answers of a model to a part."""
        counts, rejected = Counts(), RejectedPieces(self.keep_rejected)
        rows: list[Row] = []
        products = self._read(part, counts, rejected)
        for predicted in predicting.predict_chunks(
            _chunks(products, self.options.chunk_products),
            model,
            self.options.columns,
            threshold=self.options.threshold,
        ):
            rows += self._rows(predicted, model, counts)
            _reject_pictures(predicted, part, counts, rejected)
            _count_pictures(predicted, counts)
        self.meter.add('predicted_bytes', counts.bytes[ledger.READ])
        return Answers(part.number, self.form.encode_rows(rows), counts, rejected)

    def _read(self, part: Part, counts: Counts, rejected: RejectedPieces) -> Iterator[InputProduct]:
        """Yields the products of a part, and keeps damaged documents aside."""
        for piece in self.source.read(part.range):
            if isinstance(piece, Rejected):
                parts.count_rejected(piece, counts, rejected)
                product = unseen_product(piece)
                if product is not None:
                    yield product
                continue
            counts.documents[ledger.READ] += len(piece)
            counts.bytes[ledger.READ] += int(piece.lengths.sum())
            yield from products_in(piece)

    def _rows(self, predicted: Predicted[InputProduct], model: Model, counts: Counts) -> list[Row]:
        """Returns the rows of a chunk, and counts the correct ones."""
        products = predicted.products
        categories = [product.category if self.labelled else None for product in products]
        truth = [true_category(category, model.folder.tree) for category in categories]
        labelled, correct = count_correct(predicted.predictions, truth)
        counts.documents[PREDICTED] += len(products)
        counts.notes[LABELLED] += labelled
        counts.notes[CORRECT] += correct
        counts.notes[UNKNOWN] += sum(found is not None for found in categories) - labelled
        return [
            Row(product.key or product.product_id, prediction, true)
            for product, prediction, true in zip(
                products, predicted.predictions, truth, strict=True
            )
        ]


def _count_pictures(predicted: Predicted[InputProduct], counts: Counts) -> None:
    products, decoded = predicted.products, predicted.decoded
    counts.pictures[ledger.READ] += sum(len(product.pictures) for product in products)
    counts.pictures[DECODED] += len(decoded.product)
    counts.notes[UNSEEN] += len(products) - len(np.unique(decoded.product))


def _reject_pictures(
    predicted: Predicted[InputProduct], part: Part, counts: Counts, rejected: RejectedPieces
) -> None:
    """Keeps the undecodable pictures of a chunk aside."""
    for (row, view), error in predicted.decoded.unusable.items():
        product = predicted.products[row]
        error = product.unreadable.get(view, error)
        counts.pictures[ledger.REJECTED + error.reason] += 1
        rejected.add(
            Rejected(
                reason=error.reason,
                file=part.range.file,
                offset=product.offsets[view],
                length=len(product.pictures[view]),
                product_id=product.product_id,
                picture=view,
                message=str(error),
                key=product.key,
            )
        )


def _chunks(products: Iterator[InputProduct], size: int) -> Iterator[list[InputProduct]]:
    """Yields chunks of products: the last one of a part may be smaller."""
    while chunk := list(itertools.islice(products, size)):
        yield chunk
