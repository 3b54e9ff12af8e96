"""Runs on data with undecodable pictures."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from catalog.errors import UserError
from tests.trainer.spoiled import draw_spoiled
from trainer.config import files
from trainer.data.data_set import DataSet, open_data_set
from trainer.training.loop import train
from trainer.workdir import metrics_file

ROOT = Path(__file__).parents[3]
FLAGS = (
    'batch_size=16',
    'total_steps=24',
    'log_every_steps=2',
    'checkpoint_every_steps=8',
    'steps_per_call=3',
    'model.channels=4',
    'input.shuffle_records=40',
    'input.max_undecodable=0.5',
    'augment.flip=true',
)
SPOILED = (3, 50, 120)  # of 161 pictures


@pytest.fixture(scope='module')
def data(make_data_set: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp('spoiled')
    return open_data_set(make_data_set(folder, draw=draw_spoiled(SPOILED)))


def _train(data: DataSet, workdir: Path, *flags: str) -> list[dict[str, float]]:
    train(files.load('configs/tiny.py', [*FLAGS, *flags]), data, str(workdir))
    return metrics_file.read_metrics(str(workdir))


def _counts(workdir: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(workdir / 'tensorboard'), size_guidance={'tensors': 0})
    events.Reload()
    return [
        (event.step, float(tf.make_ndarray(event.tensor_proto)))
        for event in events.Tensors('undecodable_pictures')
    ]


@pytest.mark.parametrize(
    'more',
    [
        (),
        ('model.fusion.name=mean', 'model.fusion.max_views=2'),
        ('augment.mixup=0.3', 'loss.levels=heads', 'step.accumulate=2', 'loss.name=focal'),
        ('step.xla=true', 'model.fusion.name=mean'),
    ],
    ids=['pictures', 'products', 'mixed', 'xla'],
)
def test_undecodable_pictures_do_not_change_a_resumed_run(
    data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    expected = _train(data, tmp_path / 'one', *more)
    assert capsys.readouterr().err.count('is undecodable and is passed over') == 3
    for steps in (8, 16, 24):
        found = _train(data, tmp_path / 'three', *more, f'total_steps={steps}')
    assert found == expected
    counts = _counts(tmp_path / 'one')
    assert counts == _counts(tmp_path / 'three')
    assert [step for step, _ in counts] == list(range(2, 25, 2))
    assert counts[-1][1] >= 3


def test_a_run_killed_between_checkpoints_counts_the_same(data: DataSet, tmp_path: Path) -> None:
    _train(data, tmp_path / 'one')
    flags = [f'--config.{flag}' for flag in FLAGS]
    command = [sys.executable, '-m', 'trainer.task', '--config=configs/tiny.py', *flags]
    command += [f'--data={data.folder}', f'--workdir={tmp_path / "two"}']
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'}
    )
    metrics = tmp_path / 'two' / 'metrics.jsonl'
    while process.poll() is None and (
        not metrics.exists() or metrics.read_bytes().count(b'\n') < 6
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert metrics.read_bytes() == (tmp_path / 'one' / 'metrics.jsonl').read_bytes()
    assert dict(_counts(tmp_path / 'two')) == dict(_counts(tmp_path / 'one'))


def test_the_bytes_of_an_undecodable_picture_do_not_matter(
    data: DataSet, make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    draw = draw_spoiled(SPOILED, tail=b'other bytes')
    other = open_data_set(make_data_set(tmp_path / 'data', draw=draw))
    assert _train(data, tmp_path / 'one') == _train(other, tmp_path / 'two')


def test_one_undecodable_picture_of_a_small_data_set_never_stops_a_run(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data', draw=draw_spoiled({3})))
    logged = _train(data, tmp_path / 'run', 'input.max_undecodable=0.0001', 'total_steps=80')
    assert logged[-1]['epoch'] > 7
    assert _counts(tmp_path / 'run')[-1][1] in (7, 8)


def test_a_run_stops_above_the_limit_and_resumes_with_a_higher_one(
    data: DataSet, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as raised:
        _train(data, tmp_path / 'run', 'input.max_undecodable=0.0001')
    message = str(raised.value)
    assert 'input.max_undecodable=0.0001 of the pictures read' in message
    assert 'train-0000' in message
    assert '\n' not in message
    assert _train(data, tmp_path / 'run') == _train(data, tmp_path / 'undisturbed')


def test_a_validation_split_is_evaluated_without_undecodable_pictures(
    make_data_set: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The train split draws 161 pictures, the validation split comes next.
    draw = draw_spoiled({161, 170})
    data = open_data_set(make_data_set(tmp_path / 'data', draw=draw))
    logged = _train(data, tmp_path / 'run', 'validation.every_steps=8', 'board.sample_pictures=4')
    assert [row['validation_loss'] > 0 for row in logged if 'validation_loss' in row] == [True] * 3
    named = capsys.readouterr().err
    assert named.count('validation-0000') == 2
    assert named.count('is undecodable and is passed over') == 2
