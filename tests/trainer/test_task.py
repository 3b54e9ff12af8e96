"""The command line of training."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _task(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'trainer.task', *flags],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_dry_run_prints_all_and_writes_nothing(data_folder: str, tmp_path: Path) -> None:
    done = _task(
        '--config=configs/tiny.py',
        f'--data={data_folder}',
        f'--workdir={tmp_path / "run"}',
        '--config.batch_size=7',
        '--config.model.channels=4',
        '--dry_run',
    )
    assert done.returncode == 0, done.stderr
    assert '"batch_size": 7' in done.stdout
    # 3 convolutions, 4 numbers per channel of batch norm, the last layer
    weights = 9 * (3 * 4 + 4 * 8 + 8 * 16) + 4 * (4 + 8 + 16) + 17 * 4
    assert f'small_cnn, {weights:,} parameters' in done.stdout
    assert '161 pictures in 4 classes' in done.stdout
    assert '23.0 steps' in done.stdout
    assert re.search(r'^conv2d_1 +14 x 14 x 8 +288 +0\.11$', done.stdout, re.MULTILINE)
    assert 'GFLOP per picture in the forward pass' in done.stdout
    assert 'memory: about 0.00 GB on each device' in done.stdout
    assert 'batch:  uint8 7 x 28 x 28 x 3, read and decoded' in done.stdout
    assert not (tmp_path / 'run').exists()


def test_a_dry_run_finds_an_undecodable_image(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    data = make_data_set(tmp_path / 'data', counts=(4, 3), cut_a_picture=True)
    done = _task('--config=configs/tiny.py', f'--data={data}', '--dry_run')
    assert done.returncode == 0, done.stderr
    shard = f'{data}/train-00000-of-00003.tfrecord'
    named = f'warning: {shard}: product 1, picture 0 is undecodable and is passed over'
    assert named in done.stderr.splitlines()


def test_training_ends_with_one_line_and_exit_code_0(data_folder: str, tmp_path: Path) -> None:
    done = _task(
        '--config=configs/tiny.py',
        f'--data={data_folder}',
        f'--workdir={tmp_path}',
        '--config.total_steps=3',
        '--config.batch_size=8',
        '--config.model.channels=2',
    )
    assert done.returncode == 0, done.stderr
    assert _last_line(done.stdout).startswith(f'trained 3 steps into {tmp_path}: loss ')


def test_user_errors_are_one_line_and_exit_code_2(data_folder: str, tmp_path: Path) -> None:
    good = ['--config=configs/tiny.py', f'--data={data_folder}', f'--workdir={tmp_path / "run"}']
    for flags, message in [
        ([*good, '--config.modle.name=x'], "error: --config has no field 'modle'"),
        ([*good, '--config.seed'], 'error: --config.seed must have a value'),
        ([*good, '--sed=3'], "error: Unknown command line flag 'sed'"),
        ([*good, 'stray'], "error: arguments are flags like --name=value, got 'stray'"),
        ([*good, '--data=/nowhere'], 'error: /nowhere: a data set must have a manifest.json'),
        (good[:2], 'error: --workdir must be given'),
        (good[1:], 'error: --config must be given'),
    ]:
        done = _task(*flags)
        assert done.returncode == 2, flags
        assert done.stderr.count('\n') == 1, done.stderr
        assert done.stderr.startswith(message), done.stderr
    assert not (tmp_path / 'run').exists()


def test_help_lists_the_flags_and_examples() -> None:
    done = _task('--help')
    assert 'python -m trainer.task --config=configs/tiny.py --data=DIR --workdir=DIR' in done.stdout
    for flag in ('--config', '--data', '--workdir', '--verify', 'dry_run'):
        assert flag in done.stdout


def test_a_finished_run_without_metrics_is_reported_by_its_step(
    data_folder: str, tmp_path: Path
) -> None:
    flags = (
        '--config=configs/tiny.py',
        f'--data={data_folder}',
        f'--workdir={tmp_path}',
        '--config.total_steps=3',
        '--config.batch_size=8',
        '--config.model.channels=2',
    )
    assert _task(*flags).returncode == 0
    (tmp_path / 'metrics.jsonl').unlink()
    done = _task(*flags)
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
    assert _last_line(done.stdout) == (
        f'{tmp_path} is complete at step 3, nothing was trained: '
        'metrics.jsonl has no metrics, it may have been deleted'
    )
