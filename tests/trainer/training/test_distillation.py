from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import (
    DistillConfig,
    FusionConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    files,
)
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.info import data_info
from trainer.inference.runs import restore_member
from trainer.losses import priors
from trainer.training import distillation
from trainer.training.distillation import Teacher
from trainer.training.loop import train
from trainer.workdir import metrics_file

TINY = 'configs/tiny.py'
SMALL = (
    'batch_size=16',
    'log_every_steps=5',
    'checkpoint_every_steps=10',
    'steps_per_call=5',
    'model.channels=4',
    'model.dropout=0',
    'input.shuffle_records=40',
    'optimizer.learning_rate=0.01',
    'optimizer.schedule.name=constant',
    'optimizer.schedule.warmup_steps=0',
)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _train(data: DataSet, workdir: Path, *flags: str) -> list[dict[str, float]]:
    train(files.load(TINY, [*SMALL, *flags]), data, str(workdir))
    return metrics_file.read_metrics(str(workdir))


@pytest.fixture(scope='module')
def teacher(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that has learned the small data set with smaller pictures and the uniform prior."""
    workdir = tmp_path_factory.mktemp('teacher')
    size = ('input.height=20', 'input.width=24')
    rows = _train(data, workdir, *size, 'total_steps=60', 'loss.target_power=0')
    assert rows[-1]['accuracy'] > 0.9
    return str(workdir)


def test_the_divergence_is_that_of_hinton_and_0_if_both_agree() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 4, 6)).astype(np.float32)
    for temperature in (1.0, 3.0):
        actual = distillation.divergence(student, teacher, temperature=temperature)
        p, q = (scipy.special.softmax(x / temperature, axis=-1) for x in (teacher, student))
        expected = temperature**2 * scipy.special.rel_entr(p, q).sum(axis=-1)
        np.testing.assert_allclose(actual, expected, rtol=1e-4)
        same = distillation.divergence(student + 5, student, temperature=temperature)
        np.testing.assert_allclose(same, 0, atol=1e-5)


def test_the_gradient_is_the_difference_of_the_softened_probabilities() -> None:
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 4, 6)).astype(np.float32)
    logits = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(distillation.divergence(logits, teacher, temperature=2.0))
    p, q = (scipy.special.softmax(x / 2, axis=-1) for x in (teacher, student))
    np.testing.assert_allclose(tape.gradient(total, logits), 2 * (q - p), atol=1e-5)


def _config(teacher: str, **fields: object) -> TrainConfig:
    given = {'input': InputConfig(height=28, width=28), **fields}
    return TrainConfig(batch_size=4, total_steps=1, distill=DistillConfig(teacher=teacher), **given)


def _restore_teacher(config: TrainConfig, data: DataSet) -> Teacher | None:
    info = data_info(data, config)
    return distillation.restore_teacher(config.distill, config.loss, info=info, data=data)


@pytest.mark.parametrize('jit_compile', [False, True])
def test_a_teacher_predicts_for_the_size_and_the_prior_of_its_student(
    data: DataSet, teacher: str, jit_compile: bool
) -> None:
    actual = _restore_teacher(_config(teacher, loss=LossConfig(target_power=1.0)), data)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3)).astype(np.uint8)
    logits = tf.function(actual.logits, jit_compile=jit_compile)(tf.constant(images))
    model = restore_member(teacher)[0].model
    small = tf.image.resize(images.astype(np.float32), [20, 24], antialias=True)
    own = model(small / 127.5 - 1).numpy()
    natural = priors.compute_priors(data_info(data, _config(teacher)), LossConfig()).natural
    expected = scipy.special.softmax(own, axis=-1) * natural * 4  # the teacher has a uniform prior
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(scipy.special.softmax(logits, axis=-1), expected, atol=2e-3)


def test_a_student_can_learn_from_the_teacher_without_labels(
    data: DataSet, teacher: str, tmp_path: Path
) -> None:
    flags = ('total_steps=60', f'distill.teacher={teacher}', 'distill.weight=1.0')
    rows = _train(data, tmp_path, *flags, 'model.channels=3', 'augment.mixup=0.2')
    assert rows[-1]['loss'] < 0.2 * rows[0]['loss']
    assert rows[-1]['accuracy'] > 0.6  # of mixed images, without any label
    plain = _train(data, tmp_path / 'plain', 'total_steps=5', 'distill.weight=1.0')
    none = _train(data, tmp_path / 'none', 'total_steps=5')
    assert plain == none  # a weight without a teacher has no effect


def test_the_losses_of_labels_and_teacher_are_weighted(
    data: DataSet, teacher: str, tmp_path: Path
) -> None:
    def first_loss(weight: float) -> float:
        flags = ('total_steps=1', 'log_every_steps=1', f'distill.teacher={teacher}')
        return _train(data, tmp_path / str(weight), *flags, f'distill.weight={weight}')[0]['loss']

    label_loss, teacher_loss = first_loss(0.0), first_loss(1.0)
    assert first_loss(0.25) == pytest.approx(0.75 * label_loss + 0.25 * teacher_loss, rel=1e-5)
    assert label_loss != pytest.approx(teacher_loss, rel=0.01)


def test_distillation_resumes_exactly(data: DataSet, teacher: str, tmp_path: Path) -> None:
    flags = (f'distill.teacher={teacher}', 'step.ema_decay=0.9')
    uninterrupted = _train(data, tmp_path / 'uninterrupted', 'total_steps=20', *flags)
    _train(data, tmp_path / 'parts', 'total_steps=10', *flags)
    assert _train(data, tmp_path / 'parts', 'total_steps=20', *flags) == uninterrupted


def test_a_teacher_with_other_categories_is_an_error(
    make_data_set: Callable[..., str], teacher: str, tmp_path: Path
) -> None:
    other = open_data_set(make_data_set(tmp_path, counts=(5, 5)))
    with pytest.raises(UserError, match=r'distill\.teacher must have the category tree of'):
        _restore_teacher(_config(teacher), other)


@pytest.mark.parametrize(
    'fields',
    [
        {'model': ModelConfig(fusion=FusionConfig(name='mean'))},
        {'input': InputConfig(height=28, width=28, features=True)},
    ],
)
def test_a_student_cannot_learn_products_or_features(teacher: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'distill\.teacher must be None if model\.fusion is on'):
        _config(teacher, **fields)
