"""Predicts every product of an input into a file that resumes after an interruption.

Products are processed in chunks that depend on the input alone, so that a resumed run passes the
same pictures to the model together and writes the same bytes. Chunks are decoded on all cores while
the models predict the previous one.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from catalog import terminal
from catalog.errors import UserError
from catalog.inputs.options import SourceOptions
from catalog.model_folders import version_folder
from catalog.predictions import csv_rows, predicting
from catalog.predictions.columns import Columns, Row
from catalog.predictions.predicting import Predicted
from catalog.predictions.truth import count_correct, true_category
from catalog.process.progress import Progress
from trainer.export import loading
from trainer.export.loading import ExportedModels
from trainer.predict import inputs, resumable_file
from trainer.predict.dump_stream import DumpPosition, DumpProduct
from trainer.predict.inputs import ProductStream
from trainer.predict.resumable_file import ResumableFile

_NAMED_PICTURES = 100


@dataclass(frozen=True)
class PredictOptions:
    """What to write, and how.

    Attributes:
      columns: Columns of a row.
      threshold: Minimum summed confidence of a level; None for the first model's own.
      chunk_products: Products in a batch.
      overwrite: Whether to replace an existing, or incomplete, output.
    """

    columns: Columns = field(default_factory=Columns)
    threshold: float | None = None
    chunk_products: int = predicting.CHUNK_PRODUCTS
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.chunk_products < 1:
            raise UserError(f'--chunk_products must be at least 1, got {self.chunk_products}')
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f'--threshold must be in [0, 1], got {self.threshold:g}')


@dataclass(frozen=True)
class Counts:
    """What was predicted so far; part of the progress file.

    Attributes:
      products: Number of rows.
      pictures: Number of pictures.
      unusable_pictures: Number of undecodable pictures.
      unseen_products: Number of products without a decodable picture.
      labelled: Number of products with a category of the model's tree.
      correct: Number of these whose first prediction is this category.
      unknown: Number of products with a category that the model's tree does not have.
    """

    products: int = 0
    pictures: int = 0
    unusable_pictures: int = 0
    unseen_products: int = 0
    labelled: int = 0
    correct: int = 0
    unknown: int = 0


def predict(
    *,
    models: Sequence[str],
    pattern: str | Sequence[str],
    output: str,
    options: PredictOptions | None = None,
    source: SourceOptions | None = None,
) -> Counts:
    """Writes a row for each product of the input, in its order.

    Args:
      models: Version folders.
      pattern: What `inputs.open_stream` opens, or one string with commas between BSON files.
      output: A file, local or on an object store, which appears when it is complete.
      options: What to write, and how.
      source: How the input is read.

    Raises:
      UserError: If a file or a model is invalid, or the output exists. An existing output is only
        deleted once the models are loaded and the first product of each file is read.
    """
    options, source = options or PredictOptions(), source or SourceOptions()
    resumable_file.check_output(output, overwrite=options.overwrite)
    inputs.check_exists(pattern, source)  # before the models are loaded, which takes seconds
    loaded = loading.load(models)
    stream = inputs.open_stream(pattern, loaded.folder.tree, source)
    stream.check()
    identity = _identity(models, stream, options, source)
    if options.overwrite:
        resumable_file.delete_output(output)
    with ResumableFile(output, identity=identity) as file:
        counts = _write(file, loaded, stream, options)
        file.finish()
    return counts


def _identity(
    models: Sequence[str], stream: ProductStream, options: PredictOptions, source: SourceOptions
) -> str:
    parts = [
        version_folder.fingerprint(models),
        stream.fingerprint(),
        asdict(replace(options, overwrite=False)),
        source.product_folders,
        source.folder_in_key,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write(
    file: ResumableFile, models: ExportedModels, stream: ProductStream, options: PredictOptions
) -> Counts:
    position, counts = _restore(file.state)
    if file.state is None:
        header = csv_rows.format_header(options.columns).encode()
        file.write(header, _state(position, counts))
    progress = Progress('predict', total=stream.total_bytes(), unit='bytes')
    chunks = _chunks(stream.read(position), options.chunk_products)
    for predicted in predicting.predict_chunks(
        chunks, models, options.columns, threshold=options.threshold
    ):
        products = predicted.products
        truth = [true_category(product.category, models.folder.tree) for product in products]
        _name_undecodable(predicted, stream, before=counts.unusable_pictures)
        _name_unlabelled(products, truth, stream, counts, options)
        counts = _add(counts, predicted, truth)
        rows = [
            Row(product.key or product.product_id, prediction, true)
            for product, prediction, true in zip(
                products, predicted.predictions, truth, strict=True
            )
        ]
        data = csv_rows.encode_rows(rows, options.columns)
        file.write(data, _state(products[-1].end, counts))
        progress.update(products[-1].read_bytes, note=f'{counts.products:,} products')
    progress.close()
    return counts


def _name_unlabelled(
    products: Sequence[DumpProduct],
    truth: Sequence[int | str | None],
    stream: ProductStream,
    counts: Counts,
    options: PredictOptions,
) -> None:
    """Names the first product without a category that the model knows; the others are counted."""
    unknown = [
        product
        for product, true in zip(products, truth, strict=True)
        if product.category is not None and true is None
    ]
    if unknown and not counts.unknown:
        first = unknown[0]
        named = terminal.escape(str(first.category))
        print(
            f'warning: {stream.file_name(first.end.file)}: product '
            f'{terminal.escape(str(first.key or first.product_id))} has '
            f'{f"the category {named}," if named else "a category"} which the tree of the model '
            'does not have; such products have no true_category_id and no part in the accuracy',
            file=sys.stderr,
        )
    unlabelled = all(product.category is None for product in products)
    if options.columns.true_category and unlabelled and not counts.products:
        print(
            f'warning: --true_category: the first {len(products):,} products have no category that '
            'can be compared, so true_category_id is empty',
            file=sys.stderr,
        )


def _name_undecodable(
    predicted: Predicted[DumpProduct], stream: ProductStream, *, before: int
) -> None:
    """Names the first undecodable pictures of a run on standard error; the others are counted."""
    for number, (row, picture) in enumerate(predicted.decoded.unusable, before + 1):
        product = predicted.products[row]
        if number <= _NAMED_PICTURES:
            print(
                f'warning: {stream.file_name(product.end.file)}: product '
                f'{terminal.escape(str(product.key or product.product_id))}, picture {picture} is '
                'undecodable and is passed over',
                file=sys.stderr,
            )
        if number == _NAMED_PICTURES:
            print('warning: more undecodable pictures are counted, not named', file=sys.stderr)


def _state(position: DumpPosition, counts: Counts) -> dict[str, Any]:
    return {'place': asdict(position), 'counts': asdict(counts)}


def _restore(state: Mapping[str, Any] | None) -> tuple[DumpPosition, Counts]:
    if state is None:
        return DumpPosition(), Counts()
    return DumpPosition(**state['place']), Counts(**state['counts'])


def _add(
    counts: Counts, predicted: Predicted[DumpProduct], truth: Sequence[int | str | None]
) -> Counts:
    products, decoded = predicted.products, predicted.decoded
    labelled, correct = count_correct(predicted.predictions, truth)
    categories = sum(product.category is not None for product in products)
    return Counts(
        unknown=counts.unknown + categories - labelled,
        labelled=counts.labelled + labelled,
        correct=counts.correct + correct,
        products=counts.products + len(products),
        pictures=counts.pictures + sum(len(product.pictures) for product in products),
        unusable_pictures=counts.unusable_pictures + len(decoded.unusable),
        unseen_products=counts.unseen_products + len(products) - len(np.unique(decoded.product)),
    )


def _chunks(stream: Iterator[DumpProduct], size: int) -> Iterator[list[DumpProduct]]:
    """Chunks of `size` products; a chunk also ends where a part of a file ends."""
    chunk: list[DumpProduct] = []
    for product in stream:
        if chunk and (len(chunk) == size or _part(product) != _part(chunk[-1])):
            yield chunk
            chunk = []
        chunk.append(product)
    if chunk:
        yield chunk


def _part(product: DumpProduct) -> tuple[int, int]:
    return product.end.file, product.part
