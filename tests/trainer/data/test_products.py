"""Products as examples: their views in one padded tensor with a mask."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
import tensorflow as tf

from catalog import record
from catalog.errors import UserError
from catalog.formats import tfrecord
from trainer.config import FusionConfig, InputConfig, ModelConfig, TrainConfig, files
from trainer.data import preprocess
from trainer.data.batches import evaluation_batches, train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec


def _config(*, max_views: int, batch_size: int = 20) -> TrainConfig:
    return TrainConfig(
        batch_size=batch_size,
        total_steps=1,
        input=InputConfig(height=28, width=28, shuffle_records=30),
        model=ModelConfig(fusion=FusionConfig(name='mean', max_views=max_views)),
    )


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _records(data: DataSet, split: str) -> list[record.Record]:
    records = []
    for path in data.paths(split):
        with open(path, 'rb') as file:
            records += [record.decode(serialized) for serialized in tfrecord.read(file)]
    return records


Example = tuple[bytes, tuple[bool, ...], int]


def _seen(batches: Iterable[dict[str, np.ndarray]]) -> list[Example]:
    """Returns the pixels of each product's real views, its mask and its label."""
    return [
        (image[mask].tobytes(), tuple(mask.tolist()), int(label))
        for batch in batches
        for image, mask, label in zip(batch['image'], batch['mask'], batch['label'], strict=True)
    ]


def _expected(data: DataSet, split: str, *, max_views: int) -> list[Example]:
    return [
        (
            b''.join(
                preprocess.decode(tf.constant(view), height=28, width=28).numpy().tobytes()
                for view in product.pictures[:max_views]
            ),
            tuple(view < len(product.pictures) for view in range(max_views)),
            product.category.label,
        )
        for product in _records(data, split)
        if product.category
    ]


def test_an_epoch_has_each_product_once_with_its_views_in_order_and_a_mask(data: DataSet) -> None:
    products = data.split('train').records
    assert products % 20 == 0
    batches = train_batches(data, batch_spec(_config(max_views=2))).take(products // 20)
    actual = Counter(_seen(batches.as_numpy_iterator()))
    assert actual == Counter(_expected(data, 'train', max_views=2))


def test_missing_views_repeat_the_views_of_the_product(data: DataSet) -> None:
    [batch] = train_batches(data, batch_spec(_config(max_views=5))).take(1).as_numpy_iterator()
    counts = batch['mask'].sum(axis=1)
    assert set(counts) == {1, 2, 3}
    for images, count in zip(batch['image'], counts, strict=True):
        np.testing.assert_array_equal(images, images[np.arange(5) % count])


def test_evaluation_reads_every_product_once_in_order(data: DataSet) -> None:
    batches = list(
        evaluation_batches(data, 'validation', batch_spec(_config(max_views=3))).as_numpy_iterator()
    )
    assert [len(batch['label']) for batch in batches] == [18]
    assert _seen(batches) == _expected(data, 'validation', max_views=3)


def test_the_parts_of_all_workers_form_the_batches_of_one(data: DataSet) -> None:
    config = _config(max_views=3)
    batches_of_one = list(train_batches(data, batch_spec(config)).take(6))
    parts = [
        list(train_batches(data, batch_spec(config), worker=w, num_workers=2).take(6))
        for w in range(2)
    ]
    for step, batch in enumerate(batches_of_one):
        position = batch.pop('position')
        for part in parts:
            np.testing.assert_array_equal(part[step]['position'], position)
        for name, expected in batch.items():
            actual = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(actual, expected)


def test_workers_share_the_evaluation_batches_of_one(data: DataSet) -> None:
    config = _config(max_views=3, batch_size=4)
    batches_of_one = [
        b['label'].numpy().tolist()
        for b in evaluation_batches(data, 'validation', batch_spec(config))
    ]
    for worker in range(2):
        part = evaluation_batches(
            data, 'validation', batch_spec(config), worker=worker, num_workers=2
        )
        assert [b['label'].numpy().tolist() for b in part] == batches_of_one[worker::2]


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (
            ['model.fusion.name=attention'],
            "model.fusion.name must be 'none', 'mean', 'max', 'gated' or 'mlp', got 'attention'",
        ),
        (
            ['model.fusion.name=max', 'augment.mixup=0.2'],
            'augment.mixup and augment.cutmix must be 0 if model.fusion is max, got 0.2 and 0.0',
        ),
        (['model.fusion.max_views=0'], 'max_views must be greater than or equal to 1, got 0'),
    ],
)
def test_an_invalid_fusion_is_an_error_that_names_the_field(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        files.load('configs/tiny.py', overrides)
    assert message in str(caught.value)
