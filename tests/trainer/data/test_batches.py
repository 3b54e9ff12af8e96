import dataclasses
import gzip
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from catalog import record
from catalog.errors import UserError
from catalog.formats import tfrecord
from trainer.config import FusionConfig, InputConfig, ModelConfig, TrainConfig
from trainer.data import preprocess
from trainer.data.batches import evaluation_batches, picture_batches, train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec

MakeDataSet = Callable[..., str]


def _config(**changes: object) -> TrainConfig:
    values = {
        'batch_size': 20,
        'total_steps': 1,
        'input': InputConfig(height=28, width=28, shuffle_records=30),
    }
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _records(data: DataSet, split: str) -> list[record.Record]:
    records = []
    for path in data.paths(split):
        with open(path, 'rb') as file:
            records += [record.decode(serialized) for serialized in tfrecord.read(file)]
    return records


def _pictures(data: DataSet, split: str) -> Counter[tuple[bytes, int]]:
    """Returns the decoded pictures of a split and their labels, read without tf.data."""
    return Counter(
        (preprocess.decode(tf.constant(picture), height=28, width=28).numpy().tobytes(), label)
        for product in _records(data, split)
        for picture in product.pictures
        for label in [product.category.label if product.category else -1]
    )


def _stream(data: DataSet, config: TrainConfig, *, pictures: int) -> list[tuple[bytes, int]]:
    seen: list[tuple[bytes, int]] = []
    for batch in train_batches(data, batch_spec(config)):
        labels = batch['label'].numpy().tolist()
        seen += [
            (image.tobytes(), label)
            for image, label in zip(batch['image'].numpy(), labels, strict=True)
        ]
        if len(seen) >= pictures:
            break
    return seen[:pictures]


def test_training_batches_are_full_and_uint8(data: DataSet) -> None:
    spec = train_batches(data, batch_spec(_config())).element_spec
    assert spec['image'] == tf.TensorSpec([20, 28, 28, 3], tf.uint8)
    assert spec['label'] == tf.TensorSpec([20], tf.int64)
    assert spec['position'] == tf.TensorSpec([3], tf.int64)


def test_every_epoch_has_each_picture_once_in_another_order(data: DataSet) -> None:
    per_epoch = data.split('train').pictures
    assert per_epoch % 20  # so that a batch spans two epochs
    seen = _stream(data, _config(), pictures=3 * per_epoch)
    epochs = [seen[i * per_epoch : (i + 1) * per_epoch] for i in range(3)]
    expected = _pictures(data, 'train')
    for epoch in epochs:
        assert Counter(epoch) == expected
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_seed_decides_the_order(data: DataSet) -> None:
    first = _stream(data, _config(seed=3), pictures=400)
    assert first == _stream(data, _config(seed=3), pictures=400)
    assert first != _stream(data, _config(seed=4), pictures=400)


def test_the_order_does_not_depend_on_tensorflows_global_seed(data: DataSet) -> None:
    first = _stream(data, _config(), pictures=200)
    tf.random.set_seed(99)
    assert first == _stream(data, _config(), pictures=200)


def test_views_of_a_product_are_not_adjacent(make_data_set: MakeDataSet, tmp_path: Path) -> None:
    """Of 300 pictures in threes, about two adjacent pairs are of one product by chance."""
    data = open_data_set(make_data_set(tmp_path / 'data', counts=(100, 100)))
    owner = {
        preprocess.decode(tf.constant(picture), height=28, width=28).numpy().tobytes(): product
        for product, views in enumerate(_records(data, 'train'))
        for picture in views.pictures
    }
    config = _config(input=InputConfig(height=28, width=28, shuffle_records=1000))
    seen = [owner[image] for image, _ in _stream(data, config, pictures=390)]
    neighbours = sum(left == right for left, right in itertools.pairwise(seen))
    assert neighbours < 15


@pytest.mark.parametrize('shuffle_records', [1, 7, 30, 1000])
def test_the_stream_starts_at_the_position_of_any_batch(
    make_data_set: MakeDataSet, tmp_path: Path, shuffle_records: int
) -> None:
    data = open_data_set(make_data_set(tmp_path, counts=(30, 20, 9), shards=19, size=8))
    sampled = {'sampling_power': 0.3, 'sample_fraction': 0.9}
    given = InputConfig(height=8, width=8, shuffle_records=shuffle_records, **sampled)
    spec = batch_spec(_config(input=given, batch_size=10))
    batches = list(train_batches(data, spec).take(26).as_numpy_iterator())  # some epochs
    assert batches[-1]['position'][0] >= 2
    for number in range(0, 24, 3):
        start = tuple(batches[number]['position'].tolist())
        resumed = train_batches(data, spec, starts=[start], first_step=number + 1)
        for actual, expected in zip(resumed.take(2), batches[number + 1 :], strict=False):
            for name, column in expected.items():
                np.testing.assert_array_equal(actual[name], column)


@pytest.mark.parametrize('kind', ['product', 'image'])
def test_evaluation_reads_every_picture_once_in_order(
    make_data_set: MakeDataSet, tmp_path: Path, kind: str
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data', kind=kind))
    batches = picture_batches(data, 'validation', _config().input, batch_size=20)
    actual = list(batches.as_numpy_iterator())
    products = _records(data, 'validation')
    pictures = data.split('validation').pictures
    assert [len(batch['label']) for batch in actual] == [20] * (pictures // 20) + [pictures % 20]
    columns = {name: np.concatenate([batch[name] for batch in actual]) for name in actual[0]}
    expected = [
        (product.product_id, index, product.category.label, leaked)
        for product in products
        if product.category and product.leaked
        for index, leaked in zip(product.indices, product.leaked, strict=True)
    ]
    names = ('product_id', 'index', 'label', 'leaked')
    assert list(zip(*(columns[name].tolist() for name in names), strict=True)) == expected
    images = [image.tobytes() for image in columns['image']]
    assert Counter(zip(images, columns['label'].tolist(), strict=True)) == _pictures(
        data, 'validation'
    )


def test_unlabelled_pictures_have_label_minus_one(data: DataSet) -> None:
    [batch] = picture_batches(data, 'predict', _config().input, batch_size=100).as_numpy_iterator()
    assert batch['label'].tolist() == [-1] * data.split('predict').pictures
    assert batch['leaked'].tolist() == [0] * data.split('predict').pictures


def test_picture_records_and_product_records_give_the_same_pictures(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    products = open_data_set(make_data_set(tmp_path / 'product', kind='product'))
    pictures = open_data_set(make_data_set(tmp_path / 'image', kind='image'))
    count = products.split('train').pictures
    assert pictures.split('train').records == count
    assert Counter(_stream(products, _config(), pictures=count)) == Counter(
        _stream(pictures, _config(), pictures=count)
    )


def test_pictures_are_resized_to_the_size_of_the_config(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data', counts=(9, 9), size=50))
    [batch] = train_batches(data, batch_spec(_config(batch_size=8))).take(1)
    assert batch['image'].shape == (8, 28, 28, 3)


def test_the_parts_of_all_workers_form_the_batches_of_one(data_folder: str) -> None:
    data = open_data_set(data_folder)
    config = TrainConfig(batch_size=6, total_steps=1, input=InputConfig(height=28, width=28))
    batches_of_one = list(train_batches(data, batch_spec(config)).take(40))
    parts = [
        list(train_batches(data, batch_spec(config), worker=w, num_workers=3).take(40))
        for w in range(3)
    ]
    for step, batch in enumerate(batches_of_one):
        for name in ('image', 'label'):
            actual = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(actual, batch[name])
        for part in parts:
            np.testing.assert_array_equal(part[step]['position'], batch['position'])


def test_the_devices_of_a_worker_take_its_part_in_turn(data: DataSet) -> None:
    spec = batch_spec(_config(batch_size=24))
    part = train_batches(data, spec, worker=1, num_workers=2)
    devices = train_batches(data, spec, worker=1, num_workers=2, devices=3)
    assert devices.element_spec['image'].shape == (4, 28, 28, 3)
    for batch, parts in zip(part.take(15), devices.batch(3), strict=False):
        for name in ('image', 'label'):
            actual = parts[name].numpy().reshape(batch[name].shape)
            np.testing.assert_array_equal(actual, batch[name])
        np.testing.assert_array_equal(parts['position'], [batch['position']] * 3)


def test_workers_share_the_evaluation_batches_of_one(data_folder: str) -> None:
    data = open_data_set(data_folder)
    config = TrainConfig(batch_size=8, total_steps=1, input=InputConfig(height=28, width=28))
    batches_of_one = [
        b['label'].numpy().tolist()
        for b in evaluation_batches(data, 'validation', batch_spec(config))
    ]
    for worker in range(2):
        part = evaluation_batches(
            data, 'validation', batch_spec(config), worker=worker, num_workers=2
        )
        assert [b['label'].numpy().tolist() for b in part] == batches_of_one[worker::2]


def test_compressed_shards_give_the_same_pictures(data: DataSet, tmp_path: Path) -> None:
    compressed = []
    for path in data.paths('train'):
        target = tmp_path / f'{Path(path).name}.gz'
        target.write_bytes(gzip.compress(Path(path).read_bytes()))
        compressed.append(str(target))
    train = data.split('train')
    shards = tuple(
        dataclasses.replace(shard, file=Path(path).name)
        for shard, path in zip(train.shards, compressed, strict=True)
    )
    splits = {'train': dataclasses.replace(train, shards=shards)}
    manifest = dataclasses.replace(data.manifest, splits=splits)
    other = dataclasses.replace(data, folder=str(tmp_path), manifest=manifest)
    assert Counter(_stream(other, _config(), pictures=train.pictures)) == _pictures(data, 'train')


def test_a_sample_has_a_share_of_each_class_and_is_the_same_in_every_epoch(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data', counts=(300, 300), size=8))

    def products(seed: int) -> Counter[int]:
        """Counts the first 800 examples, which are many epochs of the sample."""
        sample = InputConfig(height=8, width=8, shuffle_records=100, sample_fraction=0.25)
        model = ModelConfig(fusion=FusionConfig(name='mean', max_views=1))
        config = _config(seed=seed, input=sample, model=model)
        batches = train_batches(data, batch_spec(config)).take(40).as_numpy_iterator()
        return Counter(
            (image.tobytes(), int(label))
            for batch in batches
            for image, label in zip(batch['image'], batch['label'], strict=True)
        )

    first = products(1)
    classes = Counter(label for _, label in first)
    assert all(50 < classes[label] < 100 for label in (0, 1)), classes
    assert max(first.values()) - min(first.values()) == 1  # complete epochs and a part of one
    assert first == products(1)
    assert set(first) != set(products(2))


def test_a_sample_of_few_products_is_an_error(data: DataSet) -> None:
    config = _config(input=InputConfig(height=28, width=28, sample_fraction=0.01))
    with pytest.raises(UserError, match='must leave at least 20 products, got'):
        train_batches(data, batch_spec(config))


def test_a_nondeterministic_order_still_has_each_picture_once(data: DataSet) -> None:
    config = _config(input=InputConfig(height=28, width=28, deterministic=False))
    pictures = data.split('train').pictures
    assert pictures % 7 == 0  # full batches: the first one ready may be of the next epoch
    config = dataclasses.replace(config, batch_size=7)
    seen = _stream(data, config, pictures=6 * pictures)
    expected = _pictures(data, 'train')
    counts = Counter(seen)
    assert set(counts) == set(expected)
    assert all(5 * expected[key] <= count <= 7 * expected[key] for key, count in counts.items())


def _resident_mb() -> float:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def test_memory_stays_flat_over_epochs(data: DataSet) -> None:
    batches = iter(train_batches(data, batch_spec(_config())))

    def read(epochs: int) -> float:
        for _ in range(epochs * data.split('train').pictures // 20):
            next(batches)
        return _resident_mb()

    resident = [read(100) for _ in range(5)]
    # An epoch of encoded pictures is 0.2 MB, decoded 0.4 MB. A leak would grow in every hundred
    # epochs; other allocations of the process occur in one of them.
    assert np.median(np.diff(resident)) < 2


_EXIT_WHILE_PICTURES_ARE_DECODED = """
import sys
from trainer.config import InputConfig, TrainConfig
from trainer.data.batches import train_batches
from trainer.data.data_set import open_data_set
from trainer.data.examples import batch_spec

config = TrainConfig(batch_size=512, total_steps=1, input=InputConfig(height=180, width=180))
iterator = iter(train_batches(open_data_set(sys.argv[1]), batch_spec(config)))
next(iterator)
cycle = [iterator]
cycle.append(cycle)
del iterator, cycle
"""


def test_a_process_ends_while_pictures_are_decoded(data_folder: str) -> None:
    """Two of three such processes waited forever in the interpreter's exit."""
    subprocess.run(
        [sys.executable, '-c', _EXIT_WHILE_PICTURES_ARE_DECODED, data_folder],
        cwd=Path(__file__).parents[3],
        check=True,
        timeout=300,
    )
