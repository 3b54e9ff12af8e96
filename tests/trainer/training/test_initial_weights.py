"""Runs that start from the weights of another run (`start`)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import UserError
from trainer.config import files
from trainer.data.data_set import DataSet, open_data_set
from trainer.inference.runs import restore_member
from trainer.models import weights
from trainer.training.loop import train
from trainer.workdir import run_files

_SMALL = (
    'batch_size=16',
    'total_steps=12',
    'log_every_steps=6',
    'checkpoint_every_steps=6',
    'model.channels=4',
    'input.shuffle_records=40',
    'optimizer.schedule.name=constant',
    'optimizer.schedule.warmup_steps=0',
)
_FROZEN = 'optimizer.groups=[{"pattern": "^(?!logits/)", "rate": 0}]'
_BIAS = 'optimizer.groups=[{"pattern": "^logits/bias"}, {"pattern": "", "rate": 0}]'
_SCALES = 'optimizer.groups=[{"pattern": "^logits/scale"}, {"pattern": "", "rate": 0}]'

Weights = dict[str, np.ndarray]


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _train(data: DataSet, workdir: Path, *flags: str) -> Weights:
    """Trains a run and returns its weights, or their EMA if it keeps it."""
    train(files.load('configs/tiny.py', [*_SMALL, *flags]), data, str(workdir))
    return _weights(workdir)


def _weights(workdir: Path) -> Weights:
    model = restore_member(str(workdir))[0].model
    return {path: weight.numpy() for path, weight in weights.weight_paths(model)}


@pytest.fixture(scope='module')
def first(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run to start from."""
    workdir = tmp_path_factory.mktemp('first')
    _train(data, workdir, 'step.ema_decay=0.5')
    return workdir


def _changed(before: Weights, after: Weights) -> set[str]:
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_a_new_last_layer_can_be_trained_on_frozen_weights(
    data: DataSet, first: Path, tmp_path: Path
) -> None:
    flags = (f'start.workdir={first}', 'start.pattern=^(?!logits/)', _FROZEN, 'seed=5')
    before, after = _weights(first), _train(data, tmp_path, *flags, 'loss.target_power=0')
    assert _changed(before, after) == {'logits/kernel', 'logits/bias'}
    # The last layer starts from random weights, not from those of the first run.
    assert np.abs(after['logits/kernel'] - before['logits/kernel']).mean() > 0.1


def test_the_scales_of_classes_can_be_trained_on_frozen_weights(
    data: DataSet, first: Path, tmp_path: Path
) -> None:
    flags = (f'start.workdir={first}', 'start.pattern=^(?!logits/scale)', 'step.ema_decay=0.5')
    after = _train(data, tmp_path, *flags, _SCALES, 'model.last_layer=scaled')
    scale = after.pop('logits/scale')
    assert _changed(_weights(first), after) == set()
    assert len(set(scale.tolist())) == 4


def test_a_run_that_resumes_does_not_read_its_initial_weights(
    data: DataSet, first: Path, tmp_path: Path
) -> None:
    source = tmp_path / 'source'
    shutil.copytree(first, source)
    flags = (f'start.workdir={source}', _FROZEN)
    uninterrupted = _train(data, tmp_path / 'uninterrupted', *flags)
    _train(data, tmp_path / 'cut', *flags, 'total_steps=6')
    shutil.rmtree(source)
    assert _changed(uninterrupted, _train(data, tmp_path / 'cut', *flags)) == set()


def _rows(workdir: Path) -> Weights:
    """The weights of a run with the heads of its levels."""
    tree = run_files.restore_categories(str(workdir))
    member = restore_member(str(workdir), tree=tree)[0]
    found = {f'{h.name}/{w.name}': w.numpy() for h in member.level_heads for w in h.weights}
    return {**_weights(workdir), **found}


def test_a_run_on_a_larger_tree_starts_from_the_rows_of_a_smaller_one(
    data: DataSet,
    tmp_path: Path,
    make_data_set: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    larger = open_data_set(make_data_set(tmp_path / 'data', counts=(9, 9, 9, 9, 9)))
    before, now = tmp_path / 'before', tmp_path / 'now'
    _train(data, before, 'loss.levels=heads')
    capsys.readouterr()
    _train(larger, now, 'loss.levels=heads', f'start.workdir={before}', _BIAS)
    expected = _rows(before)
    # The fifth leaf is alone in BRANCH 2, below ROOT 0 as the leaves and branches 0 and 2 are.
    for path in ('logits/kernel', 'level_head_2/bias'):
        new = expected[path][..., [0, 2]].mean(axis=-1, keepdims=True)
        expected[path] = np.concatenate([expected[path], new], axis=-1)
    for path in ('logits/kernel', 'level_head_1/kernel', 'level_head_2/bias'):
        np.testing.assert_array_equal(_rows(now)[path], expected[path])
    assert (
        f'rows of categories from {before}: last layer: 4 kept, 1 new, 0 dropped; '
        'level 1: 2 kept, 0 new, 0 dropped; level 2: 4 kept, 1 new, 0 dropped'
    ) in capsys.readouterr().err


def test_a_workdir_without_its_tree_serves_only_for_the_same_data(
    data: DataSet, first: Path, tmp_path: Path, make_data_set: Callable[..., str]
) -> None:
    old = tmp_path / 'old'
    shutil.copytree(first, old)
    (old / 'category_names.csv').unlink()
    _train(data, tmp_path / 'same', f'start.workdir={old}')
    other = open_data_set(make_data_set(tmp_path / 'data', counts=(9, 9, 9)))
    flags = (f'start.workdir={old}', 'start.pattern=^(?!logits/)')
    with pytest.raises(UserError, match=r'must have the category_names\.csv of its data, got none'):
        _train(other, tmp_path / 'refused', f'start.workdir={old}')
    _train(other, tmp_path / 'without', *flags)


def test_weights_that_the_other_run_lacks_are_errors(
    data: DataSet, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r'conv2d/kernel of shape \(3, 3, 3, 8\), got .* 3, 4\)'):
        _train(data, tmp_path / 'wider', f'start.workdir={first}', 'model.channels=8')
    with pytest.raises(UserError, match=r'logits/scale of shape \(4,\), got none; start.pattern'):
        _train(data, tmp_path / 'scale', f'start.workdir={first}', 'model.last_layer=scaled')
    with pytest.raises(UserError, match="must match a weight, 'lgits' matches none"):
        _train(data, tmp_path / 'none', f'start.workdir={first}', 'start.pattern=lgits')
    with pytest.raises(UserError, match=r'must have a data\.json, got none'):
        _train(data, tmp_path / 'absent', f'start.workdir={tmp_path}/nowhere')
