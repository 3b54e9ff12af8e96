"""A run that is stopped anywhere and resumes logs the same metrics, bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer import naming
from trainer.workdir import checkpoint

# All random draws and all state of a run are on; logging and checkpoints have different intervals.
_FLAGS = (
    '--config=configs/tiny.py',
    '--config.batch_size=16',
    '--config.total_steps=150',
    '--config.log_every_steps=4',
    '--config.checkpoint_every_steps=25',
    '--config.steps_per_call=3',
    '--config.model.channels=4',
    '--config.model.dropout=0.3',
    '--config.augment.flip=true',
    '--config.augment.crop=pad',
    '--config.augment.brightness=0.2',
    '--config.step.ema_decay=0.9',
    '--config.step.accumulate=2',
    '--config.input.shuffle_records=40',
)
_MIRRORED = (
    '--config.strategy=mirrored',
    '--config.device=cpu',
    '--config.num_devices=2',
    '--config.validation.every_steps=20',
)
_DEADLINE_SECONDS = 500
_ROOT = Path(__file__).parents[3]
_ENVIRONMENT = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'}


def _command(data: str, workdir: Path) -> list[str]:
    task = [sys.executable, '-m', 'trainer.task']
    return [*task, f'--data={data}', f'--workdir={workdir}', *_FLAGS]


def _start(data: str, workdir: Path, more: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_command(data, workdir), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env=_ENVIRONMENT,
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=_DEADLINE_SECONDS)
    return process.returncode, errors


def _stop_at_line(process: subprocess.Popen[str], workdir: Path, *, line: int, by: int) -> None:
    metrics = workdir / 'metrics.jsonl'
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not metrics.exists() or metrics.read_bytes().count(b'\n') < line:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(by)


def _interrupt(
    data: str, workdir: Path, more: Sequence[str] = (), *, line: int, by: int
) -> tuple[int, str]:
    """Stops a run after so many lines; tries again if the run ended before."""
    before = workdir.with_name(f'{workdir.name}, before line {line}')
    shutil.copytree(workdir, before)
    for _ in range(5):
        process = _start(data, workdir, more)
        _stop_at_line(process, workdir, line=line, by=by)
        code, errors = _finish(process)
        if code:
            break
        shutil.rmtree(workdir)
        shutil.copytree(before, workdir)
    return code, errors


def _final_tensors(workdir: Path) -> dict[str, np.ndarray]:
    """Returns all numbers in the last checkpoint."""
    newest = workdir / naming.CHECKPOINTS / f'ckpt-{checkpoint.steps(str(workdir))[0]:08d}'
    reader = tf.train.load_checkpoint(str(newest))
    names = [
        name
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype not in (tf.string, tf.variant)
    ]
    return {name: reader.get_tensor(name) for name in names}


def _assert_same_run(left: Path, right: Path) -> None:
    assert (left / 'metrics.jsonl').read_bytes() == (right / 'metrics.jsonl').read_bytes()
    expected, actual = _final_tensors(left), _final_tensors(right)
    assert sorted(expected) == sorted(actual)
    assert any('seeds' in name for name in actual)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


@pytest.fixture(scope='module')
def uninterrupted(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp('uninterrupted')
    code, errors = _finish(_start(data_folder, workdir))
    assert code == 0, errors
    return workdir


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / 'workdir'
    folder.mkdir()
    return folder


def test_a_run_logs_every_interval_and_the_last_step(uninterrupted: Path) -> None:
    lines = (uninterrupted / 'metrics.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row['step'] for row in rows] == [*range(4, 149, 4), 150]
    assert rows[-1]['loss'] < 0.5 * rows[0]['loss']
    assert checkpoint.steps(str(uninterrupted)) == [150, 125, 100]


def test_a_run_stopped_by_sigterm_resumes_exactly(
    data_folder: str, uninterrupted: Path, workdir: Path
) -> None:
    code, errors = _interrupt(data_folder, workdir, line=9, by=signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    stopped = checkpoint.steps(str(workdir))[0]
    assert 36 <= stopped < 150
    assert f'stopped by SIGTERM; step {stopped} is saved' in errors

    code, errors = _finish(_start(data_folder, workdir))
    assert code == 0, errors
    metrics = (workdir / 'metrics.jsonl').read_bytes()
    assert metrics == (uninterrupted / 'metrics.jsonl').read_bytes()


def test_a_run_killed_twice_resumes_exactly(
    data_folder: str, uninterrupted: Path, workdir: Path
) -> None:
    for line in (5, 22):  # before the first checkpoint, and between two
        code, _ = _interrupt(data_folder, workdir, line=line, by=signal.SIGKILL)
        assert code == -signal.SIGKILL
    code, errors = _finish(_start(data_folder, workdir))
    assert code == 0, errors
    _assert_same_run(uninterrupted, workdir)


def test_two_mirrored_devices_resume_exactly(
    data_folder: str, workdir: Path, tmp_path: Path
) -> None:
    uninterrupted = tmp_path / 'uninterrupted'
    code, errors = _finish(_start(data_folder, uninterrupted, _MIRRORED))
    assert code == 0, errors
    code, _ = _interrupt(data_folder, workdir, _MIRRORED, line=15, by=signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, errors = _finish(_start(data_folder, workdir, _MIRRORED))
    assert code == 0, errors
    _assert_same_run(uninterrupted, workdir)


_SMALL_THEN_LARGER_DISK = """
mount -t tmpfs -o size=256k small "$1"; workdir=$1; shift
"$@" --config.keep_checkpoints=99 && exit 99
mount -o remount,size=64m "$workdir"
"$@" >&2; cat "$workdir/metrics.jsonl"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a small disk')
def test_a_full_disk_is_an_error_and_the_run_resumes_when_there_is_space(
    data_folder: str, uninterrupted: Path, tmp_path: Path
) -> None:
    script = ['unshare', '-m', 'sh', '-c', _SMALL_THEN_LARGER_DISK, 'sh', str(tmp_path)]
    done = subprocess.run(
        [*script, *_command(data_folder, tmp_path)],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=_ENVIRONMENT,
        check=False,
        timeout=_DEADLINE_SECONDS,
    )
    [error] = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert f'{tmp_path}/checkpoints/ckpt-' in error
    assert 'No space left on device' in error
    assert 'the earlier checkpoints are intact' in error
    assert done.stdout == (uninterrupted / 'metrics.jsonl').read_text()
