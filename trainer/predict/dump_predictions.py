"""Predicts every product of BSON dumps into a file that resumes after an interruption.

Products are processed in chunks that depend on the dump alone, so that a resumed run passes the
same pictures to the model together and writes the same bytes. Chunks are decoded on all cores while
the models predict the previous one.
"""

import collections
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from catalog.errors import UserError
from catalog.process.progress import Progress
from trainer.export import loading
from trainer.export.loading import ExportedModels
from trainer.export.serving_module import deepest_level
from trainer.predict import decoding, dump_stream, resumable_file, submission
from trainer.predict.decoding import DecodedPictures
from trainer.predict.dump_stream import DumpPosition, DumpProduct
from trainer.predict.resumable_file import ResumableFile
from trainer.predict.submission import Columns, ProductPrediction

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
    chunk_products: int = 128
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
    """

    products: int = 0
    pictures: int = 0
    unusable_pictures: int = 0
    unseen_products: int = 0


def predict(
    *,
    models: Sequence[str],
    pattern: str | Sequence[str],
    output: str,
    options: PredictOptions | None = None,
) -> Counts:
    """Writes a row for each product of the files, in their order.

    Args:
      models: Version folders.
      pattern: BSON files: patterns, or one string with commas between them, local or `gs://`;
        `.gz` is decompressed.
      output: A local file, which appears when it is complete.
      options: What to write, and how.

    Raises:
      UserError: If a file or a model is invalid, or the output exists. An existing output is only
        deleted once the models are loaded and the first product of each file is read.
    """
    options = options or PredictOptions()
    resumable_file.check_output(output, overwrite=options.overwrite)
    paths = dump_stream.find_files(pattern)
    dump_stream.check_files(paths)
    loaded = loading.load(models)
    identity = _identity(models, paths, options)
    if options.overwrite:
        resumable_file.delete_output(output)
    with ResumableFile(output, identity=identity) as file:
        counts = _write(file, loaded, paths, options)
        file.finish()
    return counts


def _identity(models: Sequence[str], paths: Sequence[str], options: PredictOptions) -> str:
    parts = [
        loading.fingerprint(models),
        dump_stream.fingerprint(paths),
        asdict(replace(options, overwrite=False)),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write(
    file: ResumableFile, models: ExportedModels, paths: Sequence[str], options: PredictOptions
) -> Counts:
    position, counts = _restore(file.state)
    if file.state is None:
        file.write(options.columns.header().encode(), _state(position, counts))
    progress = Progress('predict', total=dump_stream.total_bytes(paths), unit='bytes')
    stream = dump_stream.read_products(paths, start=position)
    for products, decoded in _decode_ahead(stream, models, chunk=options.chunk_products):
        rows = _rows(products, decoded, models, options)
        _name_undecodable(products, decoded, paths, before=counts.unusable_pictures)
        counts = _add(counts, products, decoded)
        file.write(rows.encode(), _state(products[-1].end, counts))
        progress.update(products[-1].read_bytes, note=f'{counts.products:,} products')
    progress.close()
    return counts


def _name_undecodable(
    products: Sequence[DumpProduct], decoded: DecodedPictures, paths: Sequence[str], *, before: int
) -> None:
    """Names the first undecodable pictures of a run on standard error; the others are counted."""
    for number, (row, picture) in enumerate(decoded.unusable, before + 1):
        product = products[row]
        if number <= _NAMED_PICTURES:
            print(
                f'warning: {paths[product.end.file]}: product {product.product_id}, picture '
                f'{picture} is undecodable and is passed over',
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


def _add(counts: Counts, products: Sequence[DumpProduct], decoded: DecodedPictures) -> Counts:
    return Counts(
        products=counts.products + len(products),
        pictures=counts.pictures + sum(len(product.pictures) for product in products),
        unusable_pictures=counts.unusable_pictures + len(decoded.unusable),
        unseen_products=counts.unseen_products + len(products) - len(np.unique(decoded.product)),
    )


def _decode_ahead(
    stream: Iterator[DumpProduct], models: ExportedModels, *, chunk: int
) -> Iterator[tuple[list[DumpProduct], DecodedPictures]]:
    """Chunks of products, decoded a few ahead of the model."""
    cores = len(os.sched_getaffinity(0))
    decoders = models.decoders
    ahead: collections.deque[tuple[list[DumpProduct], Future[DecodedPictures]]]
    ahead = collections.deque()
    with ThreadPoolExecutor(cores) as pool:
        for products in _chunks(stream, chunk):
            pictures = [product.pictures for product in products]
            ahead.append((products, pool.submit(decoding.decode_pictures, pictures, decoders)))
            if len(ahead) > cores + 1:
                products, future = ahead.popleft()
                yield products, future.result()
        while ahead:
            products, future = ahead.popleft()
            yield products, future.result()


def _chunks(stream: Iterator[DumpProduct], size: int) -> Iterator[list[DumpProduct]]:
    """Chunks of `size` products; a chunk also ends where a file ends."""
    chunk: list[DumpProduct] = []
    for product in stream:
        if chunk and (len(chunk) == size or product.end.file != chunk[-1].end.file):
            yield chunk
            chunk = []
        chunk.append(product)
    if chunk:
        yield chunk


def _rows(
    products: Sequence[DumpProduct],
    decoded: DecodedPictures,
    models: ExportedModels,
    options: PredictOptions,
) -> str:
    """The lines of a chunk."""
    seen, numbers = np.unique(decoded.product, return_inverse=True)
    category_id, share = models.most_common
    predictions = [ProductPrediction([category_id], [share], level=0)] * len(products)
    if len(seen):
        probabilities = models.probabilities(decoded.images, tf.constant(numbers, tf.int64))
        for row, prediction in zip(
            seen.tolist(), _predictions(probabilities, models, options), strict=True
        ):
            predictions[row] = prediction
    return ''.join(
        submission.format_row(product.product_id, prediction, options.columns)
        for product, prediction in zip(products, predictions, strict=True)
    )


def _predictions(
    probabilities: tf.Tensor, models: ExportedModels, options: PredictOptions
) -> list[ProductPrediction]:
    """The predictions of P products from their probabilities, float32 [P, C]."""
    k = min(options.columns.top_k, len(models.tree))
    confidence, label = tf.math.top_k(probabilities, k)
    level = [0] * len(label)
    if options.columns.level:
        threshold = models.threshold if options.threshold is None else options.threshold
        level = deepest_level(probabilities, models.tree, threshold=threshold).numpy().tolist()
    category_ids = models.tree.shown_ids[label.numpy()].tolist()
    rows = zip(category_ids, confidence.numpy().tolist(), level, strict=True)
    return [ProductPrediction(*row) for row in rows]
