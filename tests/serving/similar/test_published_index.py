"""Searching an index while new versions are published, damaged and deleted."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.errors import UserError
from serving.index import building
from serving.similar.published_index import PublishedIndex
from tests.serving.colours import BLUE, GREEN, RED, jpeg
from tests.serving.products import Product, write_data_set

Publish = Callable[..., None]


@pytest.fixture
def publish(colours_version: str, tmp_path: Path) -> Publish:
    """Publishes an index of products in the folder `similar`."""
    count = 0

    def call(*products: Product) -> None:
        nonlocal count
        count += 1
        data = write_data_set(tmp_path / f'data{count}', products)
        output = str(tmp_path / 'similar')
        building.build(model=colours_version, data=data, output=output, thumbnail_pixels=160)

    return call


def test_a_new_version_replaces_the_old_one_and_going_back_is_deleting_it(
    publish: Publish, embed: Any, tmp_path: Path
) -> None:
    lines: list[str] = []
    publish(Product(1, [RED]), Product(2, [GREEN]))
    index = PublishedIndex(str(tmp_path / 'similar'), report=lines.append)
    assert index.search(embed(jpeg(BLUE)), 1).distances[0, 0] > 0.1
    assert not index.poll()
    old = index.current
    publish(Product(1, [RED]), Product(2, [GREEN]), Product(3, [BLUE]))
    assert index.poll()
    assert index.search(embed(jpeg(BLUE)), 1).ids.tolist() == [[3]]
    assert old.search(embed(jpeg(RED)), 1).ids.tolist() == [[1]]  # still usable
    shutil.rmtree(tmp_path / 'similar' / '2')
    assert index.poll()
    assert index.search(embed(jpeg(BLUE)), 1).distances[0, 0] > 0.1
    assert lines == [
        'index version 1 opened: 2 products',
        'index version 2 opened: 3 products',
        'index version 1 opened: 2 products',
    ]


def test_searches_during_reloads_are_answered_by_one_version_each(
    publish: Publish, embed: Any, tmp_path: Path
) -> None:
    publish(Product(1, [RED]), Product(2, [GREEN]))
    index = PublishedIndex(str(tmp_path / 'similar'), report=lambda _: None)
    queries, answers, stop = embed(jpeg(RED), jpeg(BLUE)), set(), threading.Event()
    failures: list[Exception] = []

    def search() -> None:
        while not stop.is_set():
            try:
                found = index.search(queries, 2)
                answers.add(tuple(found.ids.ravel().tolist()))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    watcher = threading.Thread(target=index.watch, args=(0.01,), kwargs={'until': stop})
    for thread in [*threads, watcher]:
        thread.start()
    try:
        for number in (3, 4, 5):  # version 1, which is in use at first, is deleted meanwhile
            publish(Product(1, [RED]), Product(number, [BLUE]))
            while (1, number, number, 1) not in answers and not failures:
                stop.wait(0.01)
    finally:
        stop.set()
        for thread in [*threads, watcher]:
            thread.join()
    assert not failures
    assert sorted(os.listdir(tmp_path / 'similar')) == ['3', '4']
    assert {(first, fourth) for first, _, _, fourth in answers} <= {(1, 1), (1, 2)}
    assert {second for _, second, _, _ in answers} == {2, 3, 4, 5}


def test_a_damaged_version_is_reported_once_and_the_old_one_stays(
    publish: Publish, embed: Any, tmp_path: Path
) -> None:
    lines: list[str] = []
    publish(Product(1, [RED]))
    index = PublishedIndex(str(tmp_path / 'similar'), report=lines.append)
    shutil.copytree(tmp_path / 'similar' / '1', tmp_path / 'copy')
    products = tmp_path / 'copy' / 'products.parquet'
    content = products.read_bytes()
    products.write_bytes(content[:-10])
    (tmp_path / 'copy').rename(tmp_path / 'similar' / '2')
    (tmp_path / 'similar' / 'notes').mkdir()
    (tmp_path / 'similar' / '3').mkdir()  # without files: a copy that has just begun
    assert not index.poll()
    assert not index.poll()
    assert index.search(embed(jpeg(RED)), 1).ids.tolist() == [[1]]
    _, failed = lines
    assert failed.startswith('index version 2 failed to open: ')
    assert 'products.parquet: must have the SHA-256 of digests.json' in failed
    (tmp_path / 'similar' / '2' / 'products.parquet').write_bytes(content)  # repaired
    assert index.poll()
    assert index.current.version == 2


def test_a_folder_without_an_index_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='must contain an index, got none; build one with'):
        PublishedIndex(str(tmp_path), report=print)


@pytest.mark.parametrize(
    ('embeddings', 'k', 'reason'),
    [
        (np.ones((1, 4), np.float32), 1, r'must be float32 \[N, 3\], .* got float32 \[1, 4\]'),
        (np.ones(3, np.float32), 1, r'got float32 \[3\]'),
        (np.ones((1, 3)), 1, r'got float64 \[1, 3\]'),
        (np.full((1, 3), np.nan, np.float32), 1, 'must be finite and not zero'),
        (np.zeros((1, 3), np.float32), 1, 'must be finite and not zero'),
        (np.ones((1, 3), np.float32), 0, 'k must be at least 1, got 0'),
    ],
)
def test_wrong_queries_name_the_rule(
    publish: Publish, tmp_path: Path, embeddings: Any, k: int, reason: str
) -> None:
    publish(Product(1, [RED]))
    index = PublishedIndex(str(tmp_path / 'similar'), report=lambda _: None)
    with pytest.raises(ValueError, match=reason):
        index.search(embeddings, k)


def test_the_length_of_a_query_does_not_matter_and_more_than_all_is_all(
    publish: Publish, embed: Any, tmp_path: Path
) -> None:
    publish(Product(1, [RED]), Product(2, [GREEN]))
    index = PublishedIndex(str(tmp_path / 'similar'), report=lambda _: None)
    query = embed(jpeg(GREEN))
    once, ten_times = index.search(query, 100), index.search(10 * query, 100)
    assert once.ids.tolist() == ten_times.ids.tolist() == [[2, 1]]
    np.testing.assert_allclose(once.distances, ten_times.distances, atol=1e-6)
    empty = index.search(query[:0], 5)
    assert (empty.ids.shape, empty.distances.shape, empty.products) == ((0, 2), (0, 2), [])
