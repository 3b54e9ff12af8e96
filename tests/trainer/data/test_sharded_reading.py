"""Streams of hosts that read their own parts of an epoch (`input.reading=sharded`)."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pydantic
import pytest

from catalog.errors import UserError
from tests.trainer.conftest import make_data_set
from tests.trainer.data.configs import input_config
from trainer.config import InputConfig, TrainConfig
from trainer.data.batches import START, Position, train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.distribution.batch_division import check_shards

Batch = dict[str, np.ndarray]

_SHARDED = dataclasses.replace(
    batch_spec(input_config(fusion='mean', reading='sharded', shuffle_records=7)), batch_size=24
)
_PRODUCTS = 101


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp('data')
    return open_data_set(make_data_set(folder, counts=(50, 30, 15, 6), shards=11))


def _batches(
    data: DataSet,
    *,
    workers: int,
    starts: Sequence[Position],
    count: int,
    devices: int = 1,
    first_step: int = 0,
) -> list[Batch]:
    """Returns global batches, the parts of all workers and devices in order."""
    streams = [
        train_batches(
            data,
            _SHARDED,
            worker=worker,
            num_workers=workers,
            devices=devices,
            starts=starts,
            first_step=first_step,
        ).as_numpy_iterator()
        for worker in range(workers)
    ]
    batches = []
    for _ in range(count):
        parts = [part for stream in streams for part in itertools.islice(stream, devices)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        batches.append({**columns, 'position': sum(part['position'] for part in parts)})
    return batches


def _assert_equal(actual: list[Batch], expected: list[Batch]) -> None:
    for one, other in zip(actual, expected, strict=True):
        for name, column in other.items():
            np.testing.assert_array_equal(one[name], column, err_msg=name)


def test_one_stream_is_that_of_shared_reading(data: DataSet) -> None:
    shared = dataclasses.replace(
        _SHARDED, input=dataclasses.replace(_SHARDED.input, reading='shared')
    )
    expected = train_batches(data, shared).take(9).as_numpy_iterator()
    actual = _batches(data, workers=1, starts=[START], count=9)
    _assert_equal(actual, [{**b, 'position': b['position'][np.newaxis]} for b in expected])


@pytest.fixture(scope='module')
def of_four_hosts(data: DataSet) -> list[Batch]:
    return _batches(data, workers=4, starts=[START] * 4, count=14)


def test_the_hosts_read_each_product_once_an_epoch_and_other_products_in_the_next(
    of_four_hosts: list[Batch],
) -> None:
    hosts, epochs = 4, 3
    batches = of_four_hosts
    assert batches[-1]['position'][:, 0].min() >= epochs
    read: list[Counter[bytes]] = [Counter() for _ in range(epochs)]
    parts = []
    for host in range(hosts):
        share = slice(host * 24 // hosts, (host + 1) * 24 // hosts)
        images = [image.tobytes() for batch in batches for image in batch['image'][share]]
        length = (host + 1) * _PRODUCTS // hosts - host * _PRODUCTS // hosts
        own = [images[epoch * length : (epoch + 1) * length] for epoch in range(epochs)]
        parts.append([set(images_of_epoch) for images_of_epoch in own])
        for counter, images_of_epoch in zip(read, own, strict=True):
            counter.update(images_of_epoch)
    for counter in read:
        assert set(counter.values()) == {1}
        assert len(counter) == _PRODUCTS
    assert all(first != second for first, second, _ in parts)


@pytest.mark.parametrize(('workers', 'devices'), [(1, 4), (6, 1)])
def test_any_number_of_workers_resumes_with_the_same_batches(
    data: DataSet, of_four_hosts: list[Batch], workers: int, devices: int
) -> None:
    number = 4
    starts = [tuple(position) for position in of_four_hosts[number]['position'].tolist()]
    assert len(set(starts)) == 2  # 25 or 26 products an epoch
    expected = of_four_hosts[number + 1 : number + 4]
    resumed = _batches(
        data, workers=workers, devices=devices, starts=starts, count=3, first_step=number + 1
    )
    _assert_equal(resumed, expected)


def test_there_must_be_a_shard_for_each_host(data: DataSet) -> None:
    shards = data.split('train').shards
    check_shards(shards, hosts=11, folder=data.folder)
    with pytest.raises(UserError, match=r'as many train shards with records as hosts, 12, got 11'):
        check_shards(shards, hosts=12, folder=data.folder)


def test_a_tpu_slice_and_a_cache_in_memory_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match=r'reading must be shared for strategy tpu'):
        TrainConfig(
            batch_size=8, total_steps=1, strategy='tpu', input=InputConfig(reading='sharded')
        )
    with pytest.raises(pydantic.ValidationError, match='cache must be false with reading sharded'):
        InputConfig(reading='sharded', cache=True)
