"""An index of the embeddings of an exported model, on the products that it was trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from catalog import manifest
from catalog.shard_reader import records
from serving.index import building
from serving.similar.product_index import ProductIndex

PRODUCTS = 80 + 18 + 7


@pytest.fixture(scope='module')
def index(data_folder: str, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    output = tmp_path_factory.mktemp('index') / 'similar'
    built = building.build(
        model=str(exported), data=data_folder, output=str(output), thumbnail_pixels=160
    )
    assert built.added == PRODUCTS
    return ProductIndex(str(output / '1'), version=1)


@pytest.fixture(scope='module')
def embeddings(data_folder: str, loaded: Any) -> dict[int, np.ndarray]:
    """The mean embedding of each product, as TensorFlow computes it from the exported model."""
    found = {}
    for split in manifest.read(data_folder).splits.values():
        for shard in split.shards:
            for record in records.read(f'{data_folder}/{shard.file}'):
                pictures = tf.constant(list(record.pictures))
                outputs = loaded.signatures['embedding'](image_bytes=pictures)
                mean = outputs['embedding'].numpy().mean(axis=0)
                found[record.product_id] = mean / np.linalg.norm(mean)
    return found


def test_every_product_finds_itself_first_and_ten_of_its_nearest(
    index: ProductIndex, embeddings: dict[int, np.ndarray]
) -> None:
    numbers = np.array(list(embeddings))
    queries = np.stack(list(embeddings.values())).astype(np.float32)
    ids, distances, _ = index.search(queries, 10)
    assert len(index) == len(numbers) == PRODUCTS
    assert (ids[:, 0] == numbers).mean() >= 0.98  # others may be as near within float16
    assert np.abs(distances[:, 0]).max() < 1e-3

    cosines = queries @ queries.T
    exact = numbers[np.argsort(-cosines, axis=1)[:, :10]]
    recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(ids, exact, strict=True)])
    assert recall >= 0.95
    by_number = {number: row for row, number in enumerate(numbers.tolist())}
    rows = np.vectorize(by_number.get)(ids)
    np.testing.assert_allclose(distances, 1 - np.take_along_axis(cosines, rows, axis=1), atol=2e-3)


def test_products_have_their_category_and_unlabelled_ones_none(
    index: ProductIndex, data_folder: str
) -> None:
    tree = manifest.read_categories(data_folder, manifest.read(data_folder))
    for shard in ('train-00000-of-00003', 'validation-00001-of-00003', 'predict-00002-of-00003'):
        for record in records.read(f'{data_folder}/{shard}.tfrecord'):
            found = index.find(record.product_id)
            assert found is not None
            assert found.shown_id == record.product_id
            if record.category is None:
                assert (found.category_id, found.category) == (None, ())
            else:
                assert found.category_id == record.category.category_id
                assert found.category == tree.names[record.category.label]
            assert index.thumbnail(record.product_id) == record.pictures[0]
