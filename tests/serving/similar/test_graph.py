"""The graph: recall against brute force, growth, and its files."""

from pathlib import Path

import numpy as np
import pytest

from serving.similar import graph


def unit_vectors(count: int, dimensions: int, *, seed: int, clusters: int = 40) -> np.ndarray:
    """Vectors in clusters, as embeddings of products are."""
    centres = np.random.default_rng(0).normal(size=(clusters, dimensions))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, clusters, count)] + rng.normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def recall_at_10(found: np.ndarray, vectors: np.ndarray, queries: np.ndarray) -> float:
    exact = np.argsort(-(queries.astype(np.float64) @ vectors.T), axis=1)[:, :10]
    return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, exact, strict=True)]))


def test_recall_at_10_is_at_least_95_percent_also_after_growth() -> None:
    vectors, queries = unit_vectors(3000, 48, seed=1), unit_vectors(200, 48, seed=2)
    found = graph.build(vectors[:2000])
    distances, nodes = graph.search(found, queries, 10)
    assert recall_at_10(nodes, vectors[:2000], queries) >= 0.95
    cosines = np.take_along_axis(queries @ vectors[:2000].T, nodes, axis=1)
    np.testing.assert_allclose(distances, 1 - cosines, atol=1e-3)
    assert (np.diff(distances, axis=1) >= 0).all()

    graph.extend(found, vectors[2000:])
    _, nodes = graph.search(found, queries, 10)
    assert recall_at_10(nodes, vectors, queries) >= 0.95
    assert (nodes >= 2000).any()


def test_as_many_nodes_are_found_as_asked_for() -> None:
    vectors = unit_vectors(60, 16, seed=4)
    equal = np.repeat(vectors[:1], 3000, axis=0)  # a search does not get past them
    found = graph.build(np.concatenate([equal, vectors[1:]]))
    for k in (1, 40, 3059):
        _, nodes = graph.search(found, vectors[-2:], k)
        assert [len({*row}) for row in nodes.tolist()] == [k, k]
        assert nodes.min() >= 0


def test_kept_embeddings_that_are_added_again_are_the_same(tmp_path: Path) -> None:
    vectors = unit_vectors(50, 16, seed=5)
    kept = graph.embeddings(graph.build(vectors))
    np.testing.assert_allclose(kept, vectors, atol=1e-3)
    np.testing.assert_array_equal(graph.embeddings(graph.build(kept)), kept)


def test_a_mapped_graph_finds_the_same_after_its_file_is_deleted(tmp_path: Path) -> None:
    vectors = unit_vectors(500, 16, seed=6)
    found, path = graph.build(vectors), tmp_path / 'graph'
    graph.write(found, str(path))
    mapped = graph.read(str(path), mapped=True)
    path.unlink()
    for ours, theirs in zip(
        graph.search(mapped, vectors[:20], 5), graph.search(found, vectors[:20], 5), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'graph'
    path.write_bytes(b'no graph at all')
    with pytest.raises(ValueError, match='not recognized'):
        graph.read(str(path), mapped=True)
