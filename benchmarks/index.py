r"""Measures an index of similar products against brute force, on the embeddings of a model.

  python -m benchmarks.index --model=run/models/product_categories/1 --data=run/shards \
    --index_split=train --query_split=validation --output=run/index_benchmark

The products of some splits are indexed, and those of another one are searched for, so that no query
is in the index. Brute force compares a query with all embeddings in float32, by numpy: a matrix
times a vector, and the ten largest of the products. Recall@10 is the share of the exact ten that
the index finds; another product that is as near as the tenth counts too. The speed is in CPU time,
one query at a time; both take turns, and the best of several rounds counts.

--grow=N adds products with random embeddings around the real ones, up to N, to show how both scale.

Embeddings are kept in --output, so that a second run needs no model.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from absl import flags
from threadpoolctl import threadpool_limits

from catalog import command_line, manifest, storage
from serving.index import embedding, embedding_model, nodes, shard_products
from serving.similar import graph

_MODEL = flags.DEFINE_string('model', None, 'Version folder of an exported model.', required=True)
_DATA = flags.DEFINE_string('data', None, 'Folder of the shards.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for embeddings and graphs.', required=True)
_INDEX = flags.DEFINE_multi_string('index_split', ['train'], 'Splits that are indexed.')
_QUERY = flags.DEFINE_string('query_split', 'validation', 'Split that is searched for.')
_QUERIES = flags.DEFINE_integer('queries', 500, 'Queries at most.')
_GROW = flags.DEFINE_multi_integer('grow', [], 'Numbers of products to grow to.')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Rounds.', lower_bound=1)

K = 10
TOLERANCE = 1e-6  # of a cosine: within it, a product is as near as the tenth one

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """The results for one number of products."""

    products: int
    nodes: int
    recall: float
    build_seconds: float
    megabytes: float
    index_us: float
    brute_us: float


def embed_split(name: str) -> Floats:
    """Returns the embeddings of a split's products, float32 [N, D], which a run before kept."""
    path = Path(_OUTPUT.value) / f'{name}.npy'
    if path.exists():
        return np.load(path)
    shards = manifest.get_split(manifest.read(_DATA.value), name, folder=_DATA.value).shards
    paths = [storage.join(_DATA.value, shard.file) for shard in shards]
    products = shard_products.scan(paths)
    model = embedding_model.load(_MODEL.value)
    pictures = shard_products.read_pictures(
        paths, products.pictures, products=np.ones(len(products), bool)
    )
    found = embedding.embed_products(
        embedding.embed_pictures(model, pictures),
        products.pictures.product,
        count=len(products),
        dimensions=embedding_model.count_dimensions(model),
    )
    model.close()
    embeddings = found.embeddings[found.has_embedding]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, embeddings)
    return embeddings


def grow(embeddings: Floats, count: int) -> Floats:
    """Adds random embeddings around random ones, half as far from them as their nearest others."""
    rng = np.random.default_rng(0)
    sample = embeddings[rng.permutation(len(embeddings))[:500]]
    cosines = np.sort(sample @ embeddings.T, axis=1)[:, -2]
    spread = np.sqrt(np.median(np.maximum(2 - 2 * cosines, 0))) / 2
    around = embeddings[rng.integers(0, len(embeddings), count - len(embeddings))]
    noise = rng.standard_normal(around.shape, np.float32) * (spread / np.sqrt(around.shape[1]))
    grown = around + noise
    grown /= np.linalg.norm(grown, axis=1, keepdims=True)
    return np.concatenate([embeddings, grown])


def brute_force(embeddings: Floats, query: Floats) -> npt.NDArray[np.int64]:
    """Returns the rows of the K nearest embeddings, the nearest first."""
    products = embeddings @ query
    nearest = np.argpartition(products, -K)[-K:]
    return nearest[np.argsort(-products[nearest])]


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the CPU time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(embeddings: Floats, queries: Floats) -> Row:
    """Builds a graph of embeddings and measures it."""
    start = time.process_time()
    assigned, rows = nodes.assign(nodes.digest(embeddings), known=nodes.NONE)
    built = graph.build(embeddings, rows=rows)
    build_seconds = time.process_time() - start
    path = Path(_OUTPUT.value) / 'embeddings.faiss'
    graph.write(built, str(path))
    mapped = graph.read(str(path), mapped=True)
    first = np.full(built.ntotal, -1)
    first[assigned.nodes[::-1]] = np.arange(len(embeddings))[::-1]

    def search_all() -> list[npt.NDArray[np.int64]]:
        return [graph.search(mapped, query[None], K)[1][0] for query in queries]

    def brute_force_all() -> list[npt.NDArray[np.int64]]:
        return [brute_force(embeddings, query) for query in queries]

    hits = []
    for query, found, exact in zip(queries, search_all(), brute_force_all(), strict=True):
        # Products of one node are equal, so that each node stands for all of them.
        tenth = embeddings[exact[-1]] @ query
        hits.append(np.mean(embeddings[first[found]] @ query >= tenth - TOLERANCE))
    with threadpool_limits(1):  # as a server has one thread for each request
        times = [
            (seconds_of(search_all), seconds_of(brute_force_all)) for _ in range(_ROUNDS.value)
        ]
    index_us, brute_us = (min(column) / len(queries) * 1e6 for column in zip(*times, strict=True))
    size = path.stat().st_size / 1e6
    return Row(
        len(embeddings), built.ntotal, float(np.mean(hits)), build_seconds, size, index_us, brute_us
    )


def main(argv: list[str]) -> None:
    """Measures and prints a table."""
    del argv
    embeddings = np.concatenate([embed_split(name) for name in _INDEX.value])
    queries = embed_split(_QUERY.value)
    queries = queries[np.random.default_rng(0).permutation(len(queries))[: _QUERIES.value]]
    print(f'{embeddings.shape[1]} numbers per embedding, {len(queries)} queries, {graph.LIBRARY}')
    print(
        '| products | nodes | recall@10 | build, CPU s | graph, MB | query, us | brute force, us '
        '| ratio |\n|---|---|---|---|---|---|---|---|'
    )
    for count in [len(embeddings), *_GROW.value]:
        row = measure(grow(embeddings, count) if count > len(embeddings) else embeddings, queries)
        print(
            f'| {row.products:,} | {row.nodes:,} | {row.recall:.4f} | {row.build_seconds:.1f} '
            f'| {row.megabytes:.1f} | {row.index_us:.0f} | {row.brute_us:.0f} '
            f'| {row.brute_us / row.index_us:.1f} |',
            flush=True,
        )


if __name__ == '__main__':
    command_line.run(main)
