r"""Benchmarks `trainer.predict` and its parts, decoding and the model, on this machine.

Examples:
  python -m benchmarks.predict --model=run/models/product_categories/1 --input=test.bson

The parts process the same chunks of products from memory: decoding on all cores, then the model on
the decoded images. If both share the cores, prediction takes at least the sum of their times. The
last column is that sum divided by the time of prediction, at most 1; it can be larger if the model
has its own device. Parts take turns for several rounds; the best of each counts. The time to load
the model is excluded and printed separately.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from absl import flags

from catalog import command_line
from catalog.predictions.decoding import DecodedPictures, decode_pictures
from trainer.export import loading
from trainer.export.loading import ExportedModels
from trainer.predict import dump_predictions, dump_stream
from trainer.predict.dump_stream import DumpPosition

_MODEL = flags.DEFINE_string('model', None, 'Version folder of an exported model.', required=True)
_INPUT = flags.DEFINE_string('input', None, 'BSON files with products.', required=True)
_PRODUCTS = flags.DEFINE_integer('products', 3000, 'Products to decode into memory.')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Rounds.', lower_bound=1)

Chunk = list[tuple[bytes, ...]]  # the pictures of each product


def timed(run: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def decode(chunks: list[Chunk], models: ExportedModels) -> list[DecodedPictures]:
    """Decodes all chunks on all cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda chunk: decode_pictures(chunk, models.decode), chunks))


def run_model(decoded: list[DecodedPictures], models: ExportedModels) -> None:
    """Computes the probabilities of all chunks."""
    for chunk in decoded:
        _, numbers = np.unique(chunk.product, return_inverse=True)
        models.probabilities(chunk.images, numbers)


def predict() -> None:
    """Predicts the input, including loading."""
    with tempfile.TemporaryDirectory() as folder:
        dump_predictions.predict(
            models=[_MODEL.value], pattern=_INPUT.value, output=os.path.join(folder, 'a.csv')
        )


def main(argv: list[str]) -> None:
    """Measures and prints a table."""
    del argv
    products = dump_stream.read_products(dump_stream.find_files(_INPUT.value), start=DumpPosition())
    pictures = [product.pictures for product in itertools.islice(products, _PRODUCTS.value)]
    total = len(pictures) + sum(1 for _ in products)
    size = dump_predictions.PredictOptions().chunk_products
    chunks = [pictures[i : i + size] for i in range(0, len(pictures), size)]
    models = loading.load([_MODEL.value])
    decoded = decode(chunks, models)
    parts = {
        'load': (lambda: loading.load([_MODEL.value]), 1),
        'decode': (lambda: decode(chunks, models), len(pictures)),
        'model': (lambda: run_model(decoded, models), len(pictures)),
        'predict': (predict, total),
    }
    rounds = [{name: timed(run) for name, (run, _) in parts.items()} for _ in range(_ROUNDS.value)]
    best = {name: min(seconds[name] for seconds in rounds) for name in parts}
    load = best.pop('load')
    best['predict'] -= load
    rates = {name: parts[name][1] / seconds for name, seconds in best.items()}
    bound = 1 / (1 / rates['decode'] + 1 / rates['model'])
    print(f'| products/s | {" | ".join(rates)} | of the bound |\n|---|{"---|" * (len(rates) + 1)}')
    cells = ' | '.join(f'{rate:,.0f}' for rate in rates.values())
    print(f'| {_MODEL.value} | {cells} | {rates["predict"] / bound:.2f} |')
    views = sum(map(len, pictures)) / len(pictures)
    print(f'\n{views:.2f} pictures per product; loading takes {load:.1f} s')


if __name__ == '__main__':
    command_line.run(main)
