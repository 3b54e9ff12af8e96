"""Restoring trained runs: the newest intact checkpoint is read, and the workdir is not changed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer import naming
from trainer.config import files
from trainer.data.data_set import DataSet, open_data_set
from trainer.inference.runs import restore_member
from trainer.training.loop import train
from trainer.workdir import checkpoint

_SMALL = (
    'batch_size=16',
    'total_steps=12',
    'log_every_steps=2',
    'checkpoint_every_steps=4',
    'steps_per_call=2',
    'model.channels=4',
    'input.shuffle_records=40',
)
_ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


@pytest.fixture(scope='module')
def trained(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with checkpoints of the steps 4, 8 and 12."""
    folder = tmp_path_factory.mktemp('run') / 'workdir'
    train(files.load('configs/tiny.py', _SMALL), data, str(folder))
    return folder


@pytest.fixture
def workdir(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be damaged."""
    folder = tmp_path / 'workdir'
    shutil.copytree(trained, folder)
    return folder


def _checkpoint(workdir: Path, step: int, suffix: str = '.data-00000-of-00001') -> Path:
    return workdir / naming.CHECKPOINTS / f'ckpt-{step:08d}{suffix}'


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _copy_checkpoint(workdir: Path, step: int, *, to: int) -> None:
    for suffix in ('.data-00000-of-00001', '.index'):
        shutil.copy(_checkpoint(workdir, step, suffix), _checkpoint(workdir, to, suffix))


def _digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file, and the names of folders, by relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else 'folder'
        for path in folder.rglob('*')
    }


def _steps_with_weights_of(model: keras.Model, workdir: Path) -> list[int]:
    """Returns the steps of the checkpoints that hold the bias of a model's last layer."""
    bias = model.get_layer('logits').bias.numpy()
    return [
        step
        for step in checkpoint.steps(str(workdir))
        if any(np.array_equal(bias, tensor) for tensor in _tensors(workdir, step, bias.shape))
    ]


def _tensors(workdir: Path, step: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    reader = tf.train.load_checkpoint(str(_checkpoint(workdir, step, suffix='')))
    shapes = reader.get_variable_to_shape_map()
    return [reader.get_tensor(name) for name in shapes if tuple(shapes[name]) == shape]


@pytest.mark.parametrize('suffix', ['.data-00000-of-00001', '.index'])
def test_the_newest_intact_checkpoint_is_read_and_the_workdir_is_not_changed(
    workdir: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _truncate(_checkpoint(workdir, 12, suffix))
    before = _digests(workdir)
    member, _ = restore_member(str(workdir))
    assert member.step == 8
    assert _digests(workdir) == before
    _checkpoint(workdir, 12, '.index').unlink()
    assert _steps_with_weights_of(member.model, workdir) == [8]
    warnings = [line for line in capfd.readouterr().err.splitlines() if 'warning' in line]
    path = _checkpoint(workdir, 12, suffix='')
    assert warnings == [f'warning: {path} cannot be read; trying the one of step 8']


def test_a_workdir_without_an_intact_checkpoint_is_an_error_and_is_not_changed(
    workdir: Path,
) -> None:
    for step in (4, 8, 12):
        _truncate(_checkpoint(workdir, step))
    before = _digests(workdir)
    with pytest.raises(UserError, match='at least one checkpoint must be intact, none is'):
        restore_member(str(workdir))
    assert _digests(workdir) == before


def test_the_step_is_that_of_the_weights_if_a_newer_checkpoint_appears_meanwhile(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tf.train.Checkpoint.read

    def read_while_the_run_saves(state: tf.train.Checkpoint, path: str) -> object:
        status = read(state, path)
        _copy_checkpoint(workdir, 4, to=16)
        return status

    monkeypatch.setattr(tf.train.Checkpoint, 'read', read_while_the_run_saves)
    member, _ = restore_member(str(workdir))
    assert checkpoint.steps(str(workdir))[0] == 16
    assert member.step == 12
    assert _steps_with_weights_of(member.model, workdir) == [12]


def test_a_checkpoint_that_is_deleted_meanwhile_gives_way_to_a_newer_one(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tf.train.Checkpoint.read

    def read_after_the_run_saved(state: tf.train.Checkpoint, path: str) -> object:
        if not _checkpoint(workdir, 16).exists():
            _copy_checkpoint(workdir, 8, to=16)
            for step in (4, 8, 12):
                _checkpoint(workdir, step).unlink()
                _checkpoint(workdir, step, '.index').unlink()
        return read(state, path)

    monkeypatch.setattr(tf.train.Checkpoint, 'read', read_after_the_run_saved)
    member, _ = restore_member(str(workdir))
    assert member.step == 16
    assert _steps_with_weights_of(member.model, workdir) == [16]


def test_evaluation_passes_over_a_truncated_checkpoint_and_leaves_it(
    workdir: Path, data_folder: str, tmp_path: Path
) -> None:
    _truncate(_checkpoint(workdir, 12))
    before = _digests(workdir)
    flags = [f'--workdir={workdir}', f'--data={data_folder}', '--split=validation']
    done = subprocess.run(
        [sys.executable, '-m', 'trainer.evaluate', *flags, f'--output={tmp_path / "report"}'],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path = _checkpoint(workdir, 12, suffix='')
    warning = f'warning: {path} cannot be read; trying the one of step 8'
    assert [line for line in done.stderr.splitlines() if 'ckpt-' in line] == [warning]
    assert 'Traceback' not in done.stderr
    assert json.loads((tmp_path / 'report' / 'evaluation.json').read_text())['step'] == 8
    assert _digests(workdir) == before


def test_a_run_that_resumes_renames_a_truncated_checkpoint(
    workdir: Path, trained: Path, data: DataSet, capfd: pytest.CaptureFixture[str]
) -> None:
    _truncate(_checkpoint(workdir, 12))
    train(files.load('configs/tiny.py', _SMALL), data, str(workdir))
    assert 'ckpt-00000012 is damaged and renamed to .damaged' in capfd.readouterr().err
    assert _checkpoint(workdir, 12, '.index.damaged').exists()
    assert checkpoint.steps(str(workdir)) == [12, 8, 4]
    metrics = (workdir / naming.METRICS).read_bytes()
    assert metrics == (trained / naming.METRICS).read_bytes()
