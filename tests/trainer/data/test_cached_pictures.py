"""Decoded pictures cached in memory (`input.cache`)."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import UserError
from tests.trainer.data.configs import input_config
from trainer.config import files
from trainer.data.batches import train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.training.loop import train
from trainer.workdir import metrics_file


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


@pytest.mark.parametrize('more', [{}, {'sampling_power': 0.0}, {'height': 20, 'width': 24}])
@pytest.mark.parametrize('fusion', ['none', 'mean'])
def test_cached_pictures_give_the_same_batches(
    data: DataSet, fusion: str, more: dict[str, object]
) -> None:
    plain = train_batches(data, batch_spec(input_config(fusion=fusion, **more)))
    cached = train_batches(data, batch_spec(input_config(fusion=fusion, cache=True, **more)))
    assert cached.element_spec == plain.element_spec
    for expected, actual in zip(plain.take(25), cached, strict=False):  # several epochs
        for name in expected:
            np.testing.assert_array_equal(actual[name], expected[name])


def test_a_cached_stream_starts_at_the_position_of_a_batch(data: DataSet) -> None:
    spec = batch_spec(input_config(cache=True))
    iterator = iter(train_batches(data, spec))
    for _ in range(7):
        batch = next(iterator)
    start = tuple(batch['position'].numpy().tolist())
    resumed = iter(train_batches(data, spec, starts=[start], first_step=7))
    for _ in range(12):
        np.testing.assert_array_equal(next(resumed)['image'], next(iterator)['image'])


def _run(data: DataSet, workdir: Path, *flags: str) -> list[dict[str, float]]:
    small = ('batch_size=16', 'total_steps=16', 'log_every_steps=4', 'checkpoint_every_steps=8')
    more = ('model.channels=4', 'input.shuffle_records=40')
    train(files.load('configs/tiny.py', [*small, *more, *flags]), data, str(workdir))
    return metrics_file.read_metrics(str(workdir))


def test_a_cached_run_logs_the_same_metrics(data: DataSet, tmp_path: Path) -> None:
    plain = _run(data, tmp_path / 'plain')
    cached = _run(data, tmp_path / 'cached', 'input.cache=true', 'total_steps=8')
    assert cached == plain[:2]
    assert _run(data, tmp_path / 'cached', 'input.cache=true') == plain


def test_a_data_set_larger_than_half_of_the_memory_is_not_cached(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'sysconf', lambda name: 512)  # a machine of 262 KB
    with pytest.raises(UserError, match=r'input\.cache must take at most half of the 0\.0 GB'):
        train_batches(data, batch_spec(input_config(cache=True)))


def test_a_damaged_shard_is_named_before_the_first_step(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data'))
    shard = tmp_path / 'data' / 'train-00001-of-00003.tfrecord'
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(UserError, match='train-00001-of-00003'):
        _run(data, tmp_path / 'run', 'input.cache=true')
