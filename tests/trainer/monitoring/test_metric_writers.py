"""What a run writes for people: TensorBoard's curves, images, histograms, profile; wandb's copy."""

import argparse
import dataclasses
import importlib.util
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import werkzeug.test
from PIL import Image
from tensorboard import program
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_ingester
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.summary.writer import event_file_writer

from catalog.errors import UserError
from trainer import naming
from trainer.config import (
    BoardConfig,
    InputConfig,
    ModelConfig,
    TrainConfig,
    ValidationConfig,
    files,
)
from trainer.data.data_set import open_data_set
from trainer.monitoring import metric_writers, sample_images, wandb_sync
from trainer.training.loop import train
from trainer.workdir import metrics_file

LargestFile = Callable[[int], AbstractContextManager[None]]

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def workdir(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything on."""
    folder = tmp_path_factory.mktemp('run')
    config = TrainConfig(
        batch_size=16,
        total_steps=12,
        log_every_steps=4,
        checkpoint_every_steps=6,
        steps_per_call=4,
        model=ModelConfig(channels=4),
        input=InputConfig(height=28, width=28),
        validation=ValidationConfig(every_steps=8),
        board=BoardConfig(sample_pictures=3, histograms=True, profile_steps=2, profile_from=5),
    )
    train(config, open_data_set(data_folder), str(folder))
    return folder


@pytest.fixture(scope='module')
def events(workdir: Path) -> EventAccumulator:
    return EventAccumulator(
        str(workdir / naming.TENSORBOARD), size_guidance={'tensors': 0}
    ).Reload()


def test_training_and_validation_curves_are_logged_at_their_steps(
    events: EventAccumulator, workdir: Path
) -> None:
    for name in ('loss', 'accuracy', 'learning_rate', 'pictures_per_second', 'input_wait_share'):
        assert [event.step for event in events.Tensors(name)] == [4, 8, 12], name
    rows = metrics_file.read_metrics(str(workdir))
    assert [sorted(row) == sorted(rows[0]) for row in rows] == [True, False, False]
    for metric in ('accuracy', 'loss', 'macro_precision', 'macro_recall', 'macro_f1'):
        shown = events.Tensors(f'validation_{metric}')
        assert [event.step for event in shown] == [8, 12], metric
        values = [float(tf.make_ndarray(event.tensor_proto)) for event in shown]
        assert values == pytest.approx([row[f'validation_{metric}'] for row in rows[1:]])


def test_the_input_wait_share_is_between_0_and_1(events: EventAccumulator) -> None:
    shares = [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors('input_wait_share')]
    assert all(0 < share <= 1 for share in shares)


def test_the_saving_share_is_logged_after_each_checkpoint(
    events: EventAccumulator,
) -> None:
    shares = [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors('saving_share')]
    assert shares[0] == 0  # at step 4; checkpoints were written after 6 and 8
    assert 0 < shares[1] < 1
    assert 0 < shares[2] < 1


def test_sample_images_are_logged_after_each_evaluation(events: EventAccumulator) -> None:
    shown = events.Tensors('samples')
    assert [event.step for event in shown] == [8, 12]
    width, height, *pictures = tf.make_ndarray(shown[0].tensor_proto)
    assert len(pictures) == 3
    sizes = {Image.open(io.BytesIO(picture)).size for picture in pictures}
    assert sizes == {(int(width), int(height))}


def test_a_correct_prediction_is_green_and_a_wrong_one_is_red() -> None:
    drawn = sample_images.draw(
        np.full([2, 10, 20, 3], 128, np.uint8),
        labels=np.array([0, 0]),
        probabilities=np.array([[0.9, 0.1], [0.2, 0.8]]),
        names=['lamp', 'chair'],
    )
    text = drawn[:, 96 + 14 :].astype(int)  # the second line, below an image of 192 x 96
    green, red = (text[..., 1] - text[..., 0] > 50), (text[..., 0] - text[..., 1] > 50)
    assert (green[0].any(), red[0].any()) == (True, False)
    assert (green[1].any(), red[1].any()) == (False, True)


def test_histograms_of_all_weights_are_logged_at_each_checkpoint(events: EventAccumulator) -> None:
    assert [event.step for event in events.Tensors('weights/logits/kernel')] == [6, 12]
    counts = tf.make_ndarray(events.Tensors('weights/logits/kernel')[0].tensor_proto)[:, 2]
    assert counts.sum() == 16 * 4
    shown = [tag for tag in events.Tags()['tensors'] if tag.startswith('weights/')]
    assert len(shown) == 3 * (1 + 4) + 2  # three stages of convolution and batch norm


def test_hyperparameters_are_logged_for_the_hparams_plugin(events: EventAccumulator) -> None:
    content = events.PluginTagToContent('hparams')['_hparams_/session_start_info']
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert info.hparams['batch_size'].number_value == 16
    assert info.hparams['optimizer.name'].string_value == 'adam'
    assert info.hparams['augment.flip'].bool_value is True
    assert info.hparams['step.clip_norm'].string_value == 'null'


def _trial(workdir: Path) -> str:
    """Returns the trial that TensorBoard's HParams plugin shows for a run."""
    events = EventAccumulator(str(workdir / naming.TENSORBOARD)).Reload()
    content = events.PluginTagToContent('hparams')['_hparams_/session_start_info']
    trial: str = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.group_name
    return trial


def _log_config(workdir: Path, config: TrainConfig) -> None:
    with metric_writers.MetricWriter(str(workdir), step=0) as writer:
        writer.log_config(files.flat(config), identity=files.identity(config))


def test_each_run_is_a_trial_of_its_own_in_the_hparams_plugin(tmp_path: Path) -> None:
    config = TrainConfig(batch_size=8, total_steps=10)
    runs = {
        'first': config,
        'second': config,
        'other/first': config,  # a workdir of the same name
        'last': dataclasses.replace(config, seed=1),
    }
    for number, (name, values) in enumerate(runs.items()):
        _log_config(tmp_path / name, values)
        with metric_writers.MetricWriter(str(tmp_path / name), step=0) as writer:
            writer.log({'step': 1, 'loss': 0.5 + number}, measured={})
    rows = _hparams_rows(tmp_path, metric='loss')
    assert sorted(loss for _, loss in rows) == [0.5, 1.5, 2.5, 3.5]
    assert [name.rsplit('-', 1)[0] for name, _ in sorted(rows, key=lambda row: row[1])] == [
        'first',
        'second',
        'first',
        'last',
    ]


def _hparams_rows(logdir: Path, *, metric: str) -> list[tuple[str, float]]:
    """Returns the rows that TensorBoard's HParams page asks its server for: trial and metric."""
    board = program.TensorBoard()
    parser = argparse.ArgumentParser()  # TensorBoard's own has the flags of absl too
    for loader in board.plugin_loaders:
        loader.define_flags(parser)
    flags = parser.parse_args([f'--logdir={logdir}'])
    for loader in board.plugin_loaders:
        loader.fix_flags(flags)
    ingester = data_ingester.LocalDataIngester(flags)
    ingester.deprecated_multiplexer.AddRunsFromDirectory(str(logdir))
    ingester.deprecated_multiplexer.Reload()
    app = application.TensorBoardWSGIApp(
        flags,
        board.plugin_loaders,
        ingester.data_provider,
        board.assets_zip_provider,
        ingester.deprecated_multiplexer,
    )
    query = {
        'experimentName': '',
        'allowedStatuses': ['STATUS_UNKNOWN', 'STATUS_RUNNING', 'STATUS_SUCCESS'],
        'colParams': [{'metric': {'tag': metric, 'group': ''}}],
        'startIndex': 0,
        'sliceSize': 100,
    }
    url = '/data/plugin/hparams/session_groups'
    found = werkzeug.test.Client(app).post(url, json=query).get_json()
    return [(group['name'], group['metricValues'][0]['value']) for group in found['sessionGroups']]


def test_a_resumed_run_keeps_its_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(batch_size=8, total_steps=10)
    _log_config(tmp_path / 'run', config)
    trial = _trial(tmp_path / 'run')
    longer = dataclasses.replace(config, total_steps=20, board=BoardConfig(histograms=True))
    monkeypatch.chdir(tmp_path)
    _log_config(Path('run'), longer)  # the same folder by a relative path
    assert _trial(tmp_path / 'run') == trial


def test_the_profile_is_in_the_folder_of_tensorboards_plugin(workdir: Path) -> None:
    traces = list((workdir / 'tensorboard/plugins/profile').glob('*/*.xplane.pb'))
    assert len(traces) == 1
    assert traces[0].stat().st_size > 1000


def _log(folder: Path, *, step: int) -> None:
    with metric_writers.MetricWriter(str(folder), step=step - 1) as writer:
        writer.log({'step': step, 'loss': 0.5}, measured={})


def test_a_full_disk_is_reported_in_one_line(largest_file: LargestFile, tmp_path: Path) -> None:
    _log(tmp_path, step=1)
    message = f'{tmp_path}: metrics and TensorBoard events must be writable, got: .*events'
    with largest_file(100), pytest.raises(UserError, match=message):
        _log(tmp_path, step=2)
    assert metrics_file.read_metrics(str(tmp_path))[0] == {'step': 1, 'loss': 0.5}


@pytest.mark.skipif(
    importlib.util.find_spec('wandb') is None, reason='the extra `wandb` is not installed'
)
def test_wandb_offline_holds_the_same_metrics(data_folder: str, tmp_path: Path) -> None:
    """In a process of its own: wandb hooks TensorFlow's writer."""
    flags = ['batch_size=16', 'total_steps=4', 'log_every_steps=2', 'model.channels=2']
    more = ['validation.every_steps=4', 'board.wandb=offline', 'board.sample_pictures=1']
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'trainer.task', '--config=configs/tiny.py'),
            *(f'--data={data_folder}', f'--workdir={tmp_path}'),
            *(f'--config.{flag}' for flag in flags + more),
        ],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2', 'WANDB_ERROR_REPORTING': 'false'},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (synced,) = tmp_path.glob('wandb/offline-run-*/run-*.wandb')
    content = synced.read_bytes()
    rows = metrics_file.read_metrics(str(tmp_path))
    for name, value in [
        ('loss', rows[0]['loss']),
        ('loss', rows[1]['loss']),
        ('validation_macro_f1', rows[1]['validation_macro_f1']),
    ]:
        assert name.encode() in content
        assert repr(float(np.float32(value)))[:9].encode() in content, (name, value)
    assert list(tmp_path.glob('wandb/offline-run-*/files/media/images/*.png'))


def test_wandb_that_cannot_start_is_rejected_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    offline = BoardConfig(wandb='offline')
    with (
        pytest.raises(UserError, match=r'must be off if --workdir is remote, got gs://b/run'),
        wandb_sync.sync_to_wandb('gs://b/run', offline, silent=False),
    ):
        pass
    monkeypatch.setitem(sys.modules, 'wandb', None)
    with (
        pytest.raises(UserError, match=r'board\.wandb=offline needs the package wandb'),
        wandb_sync.sync_to_wandb('/run', offline, silent=False),
    ):
        pass


def _wait_for_the_next_second() -> None:
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.02)


@pytest.mark.parametrize('other_writers', [0, 100])
def test_a_resumed_run_replaces_what_was_logged_after_its_checkpoint(
    tmp_path: Path, other_writers: int
) -> None:
    """Whatever the names of the event files, which count the writers of a process by kind."""
    for _ in range(other_writers):
        event_file_writer.EventFileWriter(str(tmp_path / 'other')).close()
    folder = str(tmp_path)
    with metric_writers.MetricWriter(folder, step=0) as writer:
        for step in (1, 2, 3, 4):
            writer.log({'step': step, 'loss': 1.0 * step}, measured={})
    _wait_for_the_next_second()  # TensorBoard sorts event files by the second of their creation
    with metric_writers.MetricWriter(folder, step=2) as writer:
        for step in (3, 4, 5):
            writer.log({'step': step, 'loss': 10.0 * step}, measured={})
    assert [row['loss'] for row in metrics_file.read_metrics(folder)] == [1, 2, 30, 40, 50]
    events = EventAccumulator(str(tmp_path / naming.TENSORBOARD)).Reload()
    assert [event.step for event in events.Tensors('loss')] == [1, 2, 3, 4, 5]
    shown = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors('loss')]
    assert shown == [1, 2, 30, 40, 50]


def test_an_incomplete_last_line_of_metrics_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    assert metrics_file.read_metrics(str(tmp_path)) == [{'step': 1, 'loss': 0.5}]
    with metric_writers.MetricWriter(str(tmp_path), step=1):
        pass
    assert path.read_text() == '{"step": 1, "loss": 0.5}\n'
