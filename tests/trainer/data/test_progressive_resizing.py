"""Progressive resizing: images that grow during a run."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import (
    AugmentConfig,
    FusionConfig,
    InputConfig,
    ModelConfig,
    SizeConfig,
    TrainConfig,
    files,
)
from trainer.data import preprocess, progressive_resizing
from trainer.data.batches import evaluation_batches, train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.inference.runs import restore_member
from trainer.training.loop import train
from trainer.training.model_inputs import model_inputs
from trainer.workdir import metrics_file

FUSED = FusionConfig(name='mean', max_views=2)
GROWING = (
    SizeConfig(until_step=2, height=14, width=14, ratio=2),
    SizeConfig(until_step=5, height=20, width=16),
)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _config(*sizes: SizeConfig, crop: Literal['none', 'resized'] = 'none') -> TrainConfig:
    given = InputConfig(height=28, width=28, shuffle_records=30, sizes=sizes)
    augment = AugmentConfig(crop=crop)
    return TrainConfig(batch_size=16, total_steps=1, input=given, augment=augment)


def test_a_batch_has_the_size_of_its_step_and_the_same_pictures(data: DataSet) -> None:
    plain = list(train_batches(data, batch_spec(_config())).take(8))
    growing = list(train_batches(data, batch_spec(_config(*GROWING))).take(8))
    sizes = [tuple(batch['image'].shape[1:3]) for batch in growing]
    assert sizes == [(14, 14)] * 2 + [(20, 16)] * 3 + [(28, 28)] * 3
    for expected, actual in zip(plain, growing, strict=True):
        np.testing.assert_array_equal(actual['label'], expected['label'])
    np.testing.assert_array_equal(growing[7]['image'], plain[7]['image'])
    # A picture at half its size is about the mean of four pixels.
    halves = tf.image.resize(plain[0]['image'], [14, 14], method='area')
    assert np.abs(halves - tf.cast(growing[0]['image'], tf.float32)).mean() < 8


_RUN = (
    'batch_size=16',
    'total_steps=8',
    'log_every_steps=2',
    'checkpoint_every_steps=4',
    'steps_per_call=4',
    'model.channels=4',
    'model.dropout=0.3',
    'input.shuffle_records=40',
    'input.sizes=[{"until_step": 5, "height": 14, "width": 14, "ratio": 2}]',
    'validation.every_steps=8',
)


def _run(data: DataSet, workdir: Path, *flags: str) -> list[dict[str, float]]:
    train(files.load('configs/tiny.py', [*_RUN, *flags]), data, str(workdir))
    return metrics_file.read_metrics(str(workdir))


@pytest.fixture(scope='module')
def workdir(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two sizes; the second starts in the middle of a call."""
    folder = tmp_path_factory.mktemp('run')
    _run(data, folder)
    return folder


def test_a_run_stopped_before_a_change_of_size_resumes_exactly(
    data: DataSet, workdir: Path, tmp_path: Path
) -> None:
    _run(data, tmp_path, 'total_steps=4')
    [*actual, last] = _run(data, tmp_path)
    [*expected, expected_last] = metrics_file.read_metrics(str(workdir))
    assert last == expected_last
    assert [row['loss'] for row in actual] == [row['loss'] for row in expected]


def test_evaluation_uses_the_last_size(data: DataSet, workdir: Path) -> None:
    member, _ = restore_member(str(workdir))
    model, config = member.model, member.config
    assert model.input_shape == (None, 28, 28, 3)
    batches = evaluation_batches(data, 'validation', batch_spec(config))
    correct = total = 0
    for batch in batches:
        assert batch['image'].shape[1:] == (28, 28, 3)
        logits = model(preprocess.normalize(batch['image'], config.model), training=False)
        correct += int(np.sum(np.argmax(logits, axis=1) == batch['label'].numpy()))
        total += len(batch['label'])
    [*_, last] = metrics_file.read_metrics(str(workdir))
    assert correct / total == pytest.approx(last['validation_accuracy'])


def test_views_of_products_grow_too(data: DataSet) -> None:
    config = dataclasses.replace(_config(*GROWING), model=ModelConfig(fusion=FUSED))
    batches = train_batches(data, batch_spec(config)).take(3)
    assert [batch['image'].shape[1:4] for batch in batches] == [(2, 14, 14)] * 2 + [(2, 20, 16)]


DETAILED = SizeConfig(until_step=5, height=14, width=12, decode_scale=1.5)


def test_images_are_decoded_at_a_multiple_of_the_size(data: DataSet) -> None:
    config = _config(DETAILED, crop='resized')
    [batch] = train_batches(data, batch_spec(config)).take(1)
    assert batch['image'].shape == (16, 21, 18, 3)
    inputs = model_inputs(
        dataclasses.replace(
            config, input=progressive_resizing.input_at(config.input, stage=DETAILED)
        )
    )
    images = tf.ensure_shape(batch['image'], [16, 21, 18, 3])
    numbers = inputs.draw(16, seed=tf.constant([1, 2]))
    assert inputs.augmented({'image': images}, numbers)['image'].shape == (16, 14, 12, 3)


def test_a_run_learns_from_crops_of_larger_images(data: DataSet, tmp_path: Path) -> None:
    sizes = '[{"until_step": 5, "height": 14, "width": 14, "decode_scale": 2.0}]'
    rows = _run(data, tmp_path, f'input.sizes={sizes}', 'augment.crop=resized')
    assert [row['step'] for row in rows] == [2, 4, 6, 8]
    assert np.isfinite([row['loss'] for row in rows]).all()


def test_larger_images_without_a_resized_crop_are_an_error() -> None:
    with pytest.raises(ValueError, match=r'decode_scale 1 if augment.crop is none, got 1\.5'):
        _config(DETAILED)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'sizes': GROWING[::-1]}, r'sizes must have increasing until_step, got \[5, 2\]'),
        ({'sizes': GROWING, 'cache': True}, 'sizes must be empty with cache'),
        (
            {'sizes': GROWING, 'deterministic': False},
            'sizes must be empty with deterministic=False',
        ),
    ],
)
def test_invalid_sizes_are_errors(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InputConfig(**changes)  # type: ignore[arg-type]


def test_a_head_whose_weights_depend_on_the_size_is_an_error() -> None:
    given = InputConfig(height=28, width=28, sizes=GROWING)
    with pytest.raises(ValueError, match='pooling must not be flatten if'):
        TrainConfig(batch_size=1, total_steps=1, input=given, model=ModelConfig(pooling='flatten'))


def test_the_error_of_an_invalid_size_names_its_index(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'input\.sizes\.0\.ratio'):
        files.load(
            'configs/tiny.py',
            ['input.sizes=[{"until_step": 5, "height": 14, "width": 14, "ratio": 3}]'],
        )
