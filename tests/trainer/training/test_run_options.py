"""The options of a run, from flags to the content of the workdir."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer import naming
from trainer.config import files
from trainer.data.batches import picture_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.inference.predictor import Predictor
from trainer.inference.runs import restore_member
from trainer.inference.scores import score_pictures
from trainer.training.loop import train
from trainer.workdir import checkpoint, metrics_file

_SMALL = (
    'batch_size=16',
    'total_steps=24',
    'log_every_steps=4',
    'checkpoint_every_steps=12',
    'steps_per_call=4',
    'model.channels=4',
    'input.shuffle_records=40',
    'optimizer.schedule.name=constant',
    'optimizer.schedule.warmup_steps=0',
)
_EVALUATED = ('validation.every_steps=4', 'board.sample_pictures=0')
# Frozen batch norm uses its moving statistics: it computes the same for parts of a batch.
_NORM_FROZEN = '{"pattern": "^batch_normalization", "rate": 0}'


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _train(data: DataSet, workdir: Path, *flags: str) -> list[dict[str, float]]:
    """Trains a run and returns its logged metrics."""
    train(files.load('configs/tiny.py', [*_SMALL, *flags]), data, str(workdir))
    return metrics_file.read_metrics(str(workdir))


def _column(rows: Sequence[dict[str, float]], name: str) -> list[float]:
    return [row[name] for row in rows]


def _weights(workdir: Path, *, step: int) -> dict[str, np.ndarray]:
    """Returns all weights in a checkpoint; the trainable ones are stored with the optimizer."""
    path = str(workdir / naming.CHECKPOINTS / f'ckpt-{step:08d}')
    reader = tf.train.load_checkpoint(path)
    names = [
        name
        for name in reader.get_variable_to_dtype_map()
        if name.startswith(('model/_operations/', 'heads/')) or '/_trainable_variables/' in name
    ]
    assert names
    return {name: reader.get_tensor(name) for name in names}


def test_gradient_accumulation_gives_the_same_losses(data: DataSet, tmp_path: Path) -> None:
    flags = (f'optimizer.groups=[{_NORM_FROZEN}]', 'model.dropout=0')
    uninterrupted = _train(data, tmp_path / 'uninterrupted', *flags)
    parts = _train(data, tmp_path / 'parts', *flags, 'step.accumulate=2')
    np.testing.assert_allclose(_column(parts, 'loss'), _column(uninterrupted, 'loss'), rtol=1e-4)
    assert uninterrupted[-1]['loss'] < 0.9 * uninterrupted[0]['loss']


def test_clipping_bounds_the_change_of_a_step(data: DataSet, tmp_path: Path) -> None:
    flags = ('optimizer.name=sgd', 'optimizer.learning_rate=2.0', 'optimizer.momentum=0')
    every = ('checkpoint_every_steps=1', 'keep_checkpoints=9', 'total_steps=3')
    frozen = f'optimizer.groups=[{_NORM_FROZEN}]'
    _train(data, tmp_path, *flags, *every, frozen, 'step.clip_norm=0.01')
    for step in (1, 2):
        before, after = _weights(tmp_path, step=step), _weights(tmp_path, step=step + 1)
        change = np.sqrt(sum(((after[name] - before[name]) ** 2).sum() for name in before))
        assert change == pytest.approx(2.0 * 0.01, rel=1e-3)


_STATEFUL_OPTIONS = {
    'float16, EMA, accumulation, clipping, plateau, groups, level heads, class weights': (
        'loss.name=ldam',
        'loss.levels=heads',
        'loss.effective_beta=0.9',
        'loss.reweight_from_step=14',
        'step.precision=float16',
        'step.ema_decay=0.9',
        'step.accumulate=2',
        'step.clip_norm=1.0',
        'optimizer.schedule.name=plateau',
        'optimizer.schedule.patience=1',
        'optimizer.schedule.min_delta=0.5',
        'optimizer.groups=[{"pattern": "^conv2d(_\\\\d+)?/", "rate": 0.5, "from_step": 6}]',
        *_EVALUATED,
    ),
    'bfloat16, XLA, LAMB, cyclical, all augmentation, generalized cross-entropy of levels': (
        'loss.name=generalized',
        'loss.levels=summed',
        'augment.crop=pad',
        'augment.rand_augment_ops=2',
        'augment.saturation=0.4',
        'augment.erase=0.3',
        'augment.mixup=0.2',
        'augment.cutmix=1.0',
        'step.precision=bfloat16',
        'step.xla=true',
        'optimizer.name=lamb',
        'optimizer.schedule.name=cyclical',
        'optimizer.schedule.cycle_steps=10',
    ),
}


@pytest.mark.parametrize('flags', _STATEFUL_OPTIONS.values(), ids=_STATEFUL_OPTIONS.keys())
def test_a_run_with_stateful_options_resumes_exactly(
    data: DataSet, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    uninterrupted = _train(data, tmp_path / 'uninterrupted', *flags)
    _train(data, tmp_path / 'cut', *flags, 'total_steps=12')
    assert _train(data, tmp_path / 'cut', *flags) == uninterrupted
    expected, actual = (_weights(tmp_path / name, step=24) for name in ('uninterrupted', 'cut'))
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


@pytest.mark.parametrize('precision', ['float16', 'bfloat16'])
def test_half_precision_learns_the_training_data(
    data: DataSet, tmp_path: Path, precision: str
) -> None:
    rows = _train(
        data,
        tmp_path,
        f'step.precision={precision}',
        'optimizer.learning_rate=0.02',
        'total_steps=60',
        'validation.every_steps=60',
        'log_every_steps=60',
    )
    assert rows[-1]['validation_accuracy'] > 0.8
    model = restore_member(str(tmp_path))[0].model
    assert {weight.dtype for weight in model.weights} == {'float32'}


def test_mixing_needs_an_even_number_of_pictures(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='even number of pictures at a time, got 3'):
        _train(data, tmp_path, 'batch_size=12', 'step.accumulate=4', 'augment.mixup=0.2')


def test_level_heads_are_trained_and_left_out_of_the_model(data: DataSet, tmp_path: Path) -> None:
    every = ('checkpoint_every_steps=2', 'total_steps=4')
    _train(data, tmp_path, *every, 'loss.levels=heads')
    before, after = _weights(tmp_path, step=2), _weights(tmp_path, step=4)
    kernels = [name for name in before if before[name].ndim == 2]  # of last layers
    assert sorted(before[name].shape[1] for name in kernels) == [2, 4, 4]  # nodes of each level
    assert all((before[name] != after[name]).any() for name in kernels)
    model = restore_member(str(tmp_path))[0].model
    assert model.output_shape == (None, 4)


def _accuracy(workdir: Path, data: DataSet) -> float:
    """Returns the accuracy of the model that is evaluated and exported."""
    member, _ = restore_member(str(workdir))
    model, config = member.model, member.config
    batches = picture_batches(data, 'validation', config.input, batch_size=config.batch_size)
    scored = list(score_pictures(Predictor(model, config.model), batches))
    correct = [one.probabilities.argmax(axis=1) == one.label for one in scored]
    return float(np.concatenate(correct).mean())


@pytest.mark.parametrize('decay', [0.0, 0.9])
def test_the_best_model_is_kept_with_the_accuracy_that_was_logged(
    data: DataSet, tmp_path: Path, decay: float
) -> None:
    rows = _train(data, tmp_path, *_EVALUATED, f'step.ema_decay={decay}', 'total_steps=40')
    accuracies = _column(rows, 'validation_accuracy')
    best = int(np.argmax(accuracies))  # the first of equals
    assert checkpoint.steps(str(tmp_path / naming.BEST)) == [int(rows[best]['step'])]
    assert _accuracy(tmp_path / naming.BEST, data) == accuracies[best]
    assert _accuracy(tmp_path, data) == accuracies[-1]
    assert len(set(accuracies)) > 1


def test_the_ema_is_evaluated_and_does_not_change_training(data: DataSet, tmp_path: Path) -> None:
    plain = _train(data, tmp_path / 'plain', *_EVALUATED)
    averaged = _train(data, tmp_path / 'averaged', *_EVALUATED, 'step.ema_decay=0.9')
    assert _column(averaged, 'loss') == _column(plain, 'loss')  # training is the same
    assert _column(averaged, 'validation_loss') != _column(plain, 'validation_loss')


_NO_PROGRESS = ('optimizer.learning_rate=1e-12', f'optimizer.groups=[{_NORM_FROZEN}]')


def test_a_run_without_improvement_stops_early(data: DataSet, tmp_path: Path) -> None:
    flags = (*_EVALUATED, *_NO_PROGRESS, 'validation.patience=2')
    rows = _train(data, tmp_path, *flags)
    assert _column(rows, 'step') == [4, 8, 12]  # the best and two that are not better
    assert checkpoint.steps(str(tmp_path)) == [12]
    assert checkpoint.steps(str(tmp_path / naming.BEST)) == [4]
    assert _train(data, tmp_path, *flags) == rows  # nothing is left to do


def test_the_learning_rate_drops_on_a_plateau(data: DataSet, tmp_path: Path) -> None:
    rows = _train(
        data,
        tmp_path,
        *_EVALUATED,
        *_NO_PROGRESS,
        'optimizer.schedule.name=plateau',
        'optimizer.schedule.patience=2',
        'optimizer.schedule.drop_factor=0.1',
    )
    # The first evaluation is the best; the drop after the third applies to the next steps.
    expected = [1e-12] * 3 + [1e-13] * 2 + [1e-14]
    assert _column(rows, 'learning_rate') == pytest.approx(expected)


def test_frozen_layers_do_not_change_and_staged_layers_start_later(
    data: DataSet, tmp_path: Path
) -> None:
    groups = (
        '[{"pattern": "^conv2d(_\\\\d+)?/", "rate": 0, "from_step": 0},'
        ' {"pattern": "^logits/", "from_step": 2}]'
    )
    every = ('checkpoint_every_steps=1', 'keep_checkpoints=9', 'total_steps=3')
    _train(data, tmp_path, *every, f'optimizer.groups={groups}')
    first, second, third = (_weights(tmp_path, step=step) for step in (1, 2, 3))
    changed = {
        shape: (step_2, step_3)
        for name in first
        if (shape := first[name].ndim) in (2, 4)  # the last layer's kernel, and convolutions'
        for step_2 in [bool((first[name] != second[name]).any())]
        for step_3 in [bool((second[name] != third[name]).any())]
    }
    assert changed == {4: (False, False), 2: (False, True)}


def test_a_split_without_labels_cannot_be_evaluated(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"validation\.split must have labels, 'predict' has none"):
        _train(data, tmp_path, *_EVALUATED, 'validation.split=predict')
    with pytest.raises(UserError, match="one of predict, train, validation, got 'tset'"):
        _train(data, tmp_path / 'other', *_EVALUATED, 'validation.split=tset')
