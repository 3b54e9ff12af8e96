r"""Prediction on this machine: `trainer.predict` beside its parts alone, decoding and the model.

  python -m benchmarks.predict --model=run/models/product_categories/1 --input=test.bson

The parts get the same chunks of products, read beforehand: decoding on all cores, then the model
on what was decoded. Where both share the cores, prediction cannot take less than their sum: the
last column is that sum over what prediction took, and 1 is the bound; a model on a device of its
own can exceed it. Rounds by turns; the best of each counts. What loading the model takes is shown
apart, and is in none of them.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from absl import flags

from catalog import command_line
from trainer.export import loading as exported_models
from trainer.export.loading import Models
from trainer.predict import decoding, dump_stream
from trainer.predict import dump_predictions as predicting
from trainer.predict.decoding import Decoded
from trainer.predict.dump_stream import Place

_MODEL = flags.DEFINE_string('model', None, 'Version folder of an exported model.', required=True)
_INPUT = flags.DEFINE_string('input', None, 'BSON files with products.', required=True)
_PRODUCTS = flags.DEFINE_integer('products', 3000, 'Decoded products that lie in memory at once.')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Runs of each.', lower_bound=1)

Chunk = list[tuple[bytes, ...]]  # the pictures of each product


def timed(run: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def decode(chunks: list[Chunk], models: Models) -> list[Decoded]:
    """All chunks decoded, on all cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda chunk: decoding.decode(chunk, models.decoders), chunks))


def answer(decoded: list[Decoded], models: Models) -> None:
    """Asks about all chunks."""
    for chunk in decoded:
        _, numbers = np.unique(chunk.product, return_inverse=True)
        models.probabilities(chunk.images, tf.constant(numbers, tf.int64)).numpy()


def predict() -> None:
    """The whole, loading included."""
    with tempfile.TemporaryDirectory() as folder:
        predicting.predict(
            models=[_MODEL.value], pattern=_INPUT.value, output=os.path.join(folder, 'a.csv')
        )


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    products = dump_stream.products(dump_stream.find_files(_INPUT.value), start=Place())
    pictures = [product.pictures for product in itertools.islice(products, _PRODUCTS.value)]
    whole = len(pictures) + sum(1 for _ in products)
    size = predicting.Options().chunk_products
    chunks = [pictures[i : i + size] for i in range(0, len(pictures), size)]
    models = exported_models.load([_MODEL.value])
    decoded = decode(chunks, models)
    parts = {
        'load': (lambda: exported_models.load([_MODEL.value]), 1),
        'decode': (lambda: decode(chunks, models), len(pictures)),
        'model': (lambda: answer(decoded, models), len(pictures)),
        'predict': (predict, whole),
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
    print(f'\n{views:.2f} pictures a product; loading takes {load:.1f} s')


if __name__ == '__main__':
    command_line.run(main)
