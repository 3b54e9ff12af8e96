"""Answers for every product of BSON dumps, as a file that goes on where it was interrupted.

Products travel in chunks that follow from the files alone, so that every sitting asks a model about
the same pictures together, and writes the same bytes. Chunks are decoded on all cores while the
models answer the one before.
"""

import collections
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from catalog.errors import UserError
from catalog.process.progress import Progress
from trainer.export import loading as exported_models
from trainer.export.loading import ExportedModels
from trainer.export.serving_module import deepest_level
from trainer.predict import decoding, dump_stream, resumable_file, submission
from trainer.predict.decoding import Decoded
from trainer.predict.dump_stream import Found, Place
from trainer.predict.resumable_file import ResumableFile
from trainer.predict.submission import Answer, Columns


@dataclass(frozen=True)
class Options:
    """What to write, and how.

    Attributes:
      columns: of a row.
      threshold: summed confidence from which a level is trusted; None for the first model's own.
      chunk_products: products that are asked about together.
      overwrite: whether an existing output, or the beginning of one, may be replaced.
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
    """What was answered so far.

    Attributes:
      products: rows.
      pictures: of these.
      unusable_pictures: of these, that are no pictures.
      unseen_products: that have no usable picture; the most common category is said of them.
    """

    products: int = 0
    pictures: int = 0
    unusable_pictures: int = 0
    unseen_products: int = 0


def predict(
    *, models: Sequence[str], pattern: str, output: str, options: Options | None = None
) -> Counts:
    """Writes a row for each product of the files, in their order.

    Args:
      models: version folders.
      pattern: of BSON files, comma-separated patterns, local or `gs://`; `.gz` is unpacked.
      output: a local file, which appears when it is whole.
      options: what to write, and how.

    Raises:
      UserError: if a file or a model is not as it must be, or the output exists.
    """
    options = options or Options()
    resumable_file.prepare(output, overwrite=options.overwrite)
    paths = dump_stream.find_files(pattern)
    loaded = exported_models.load(models)
    identity = _identity(models, paths, options)
    with ResumableFile(output, identity=identity) as file:
        counts = _write(file, loaded, paths, options)
        file.finish()
    return counts


def _identity(models: Sequence[str], paths: Sequence[str], options: Options) -> str:
    parts = [
        exported_models.fingerprint(models),
        dump_stream.fingerprint(paths),
        asdict(replace(options, overwrite=False)),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write(
    file: ResumableFile, models: ExportedModels, paths: Sequence[str], options: Options
) -> Counts:
    place, counts = _restored(file.state)
    if file.state is None:
        file.write(options.columns.header().encode(), _state(place, counts))
    progress = Progress('predict', total=dump_stream.total_bytes(paths), unit='bytes')
    found = dump_stream.products(paths, start=place)
    for products, decoded in _decoded(found, models, chunk=options.chunk_products):
        rows = _rows(products, decoded, models, options)
        counts = _counted(counts, products, decoded)
        file.write(rows.encode(), _state(products[-1].end, counts))
        progress.update(products[-1].read_bytes, note=f'{counts.products:,} products')
    progress.close()
    return counts


def _state(place: Place, counts: Counts) -> dict[str, Any]:
    return {'place': asdict(place), 'counts': asdict(counts)}


def _restored(state: Mapping[str, Any] | None) -> tuple[Place, Counts]:
    if state is None:
        return Place(), Counts()
    return Place(**state['place']), Counts(**state['counts'])


def _counted(counts: Counts, products: Sequence[Found], decoded: Decoded) -> Counts:
    return Counts(
        products=counts.products + len(products),
        pictures=counts.pictures + sum(len(product.pictures) for product in products),
        unusable_pictures=counts.unusable_pictures + decoded.unusable,
        unseen_products=counts.unseen_products + len(products) - len(np.unique(decoded.product)),
    )


def _decoded(
    found: Iterator[Found], models: ExportedModels, *, chunk: int
) -> Iterator[tuple[list[Found], Decoded]]:
    """Chunks of products, decoded a few ahead of the one that is asked about."""
    cores = len(os.sched_getaffinity(0))
    decoders = models.decoders
    ahead: collections.deque[tuple[list[Found], Future[Decoded]]] = collections.deque()
    with ThreadPoolExecutor(cores) as pool:
        for products in _chunks(found, chunk):
            pictures = [product.pictures for product in products]
            ahead.append((products, pool.submit(decoding.decode, pictures, decoders)))
            if len(ahead) > cores + 1:
                products, future = ahead.popleft()
                yield products, future.result()
        while ahead:
            products, future = ahead.popleft()
            yield products, future.result()


def _chunks(found: Iterator[Found], size: int) -> Iterator[list[Found]]:
    """So many products at a time; none of two files, so that files end where chunks do."""
    chunk: list[Found] = []
    for product in found:
        if chunk and (len(chunk) == size or product.end.file != chunk[-1].end.file):
            yield chunk
            chunk = []
        chunk.append(product)
    if chunk:
        yield chunk


def _rows(
    products: Sequence[Found], decoded: Decoded, models: ExportedModels, options: Options
) -> str:
    """The lines of a chunk."""
    seen, numbers = np.unique(decoded.product, return_inverse=True)
    category_id, share = models.most_common
    answers = [Answer([category_id], [share], level=0)] * len(products)
    if len(seen):
        probabilities = models.probabilities(decoded.images, tf.constant(numbers, tf.int64))
        for row, answer in zip(
            seen.tolist(), _answers(probabilities, models, options), strict=True
        ):
            answers[row] = answer
    return ''.join(
        submission.row(product.product_id, answer, options.columns)
        for product, answer in zip(products, answers, strict=True)
    )


def _answers(probabilities: tf.Tensor, models: ExportedModels, options: Options) -> list[Answer]:
    """What is said of each product: float32 [P, C] -> [P]."""
    k = min(options.columns.top_k, len(models.tree))
    confidence, label = tf.math.top_k(probabilities, k)
    level = [0] * len(label)
    if options.columns.level:
        threshold = models.threshold if options.threshold is None else options.threshold
        level = deepest_level(probabilities, models.tree, threshold=threshold).numpy().tolist()
    category_ids = models.tree.ids[label.numpy()].tolist()
    rows = zip(category_ids, confidence.numpy().tolist(), level, strict=True)
    return [Answer(*row) for row in rows]
