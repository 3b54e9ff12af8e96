"""What a run leaves behind, and what stops it. Stopping and going on: test_resume.py."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from catalog.errors import UserError
from trainer import naming
from trainer.config import InputConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from trainer.data import preprocess
from trainer.data.batches import evaluation_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.inference.runs import restore_member
from trainer.monitoring import metric_writers
from trainer.training.loop import train
from trainer.workdir import checkpoint

MakeDataSet = Callable[..., str]

CONFIG = TrainConfig(
    batch_size=16,
    total_steps=40,
    log_every_steps=10,
    checkpoint_every_steps=20,
    model=ModelConfig(channels=4),
    input=InputConfig(height=28, width=28),
    optimizer=OptimizerConfig(learning_rate=0.01),
)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


@pytest.fixture(scope='module')
def workdir(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run."""
    folder = str(tmp_path_factory.mktemp('run'))
    train(CONFIG, data, folder)
    return folder


def test_a_run_learns_what_its_pictures_show(workdir: str, data: DataSet) -> None:
    member, info = restore_member(workdir)
    model, config = member.model, member.config
    assert config == CONFIG
    assert info.digest == data.digest
    right = total = 0
    for batch in evaluation_batches(data, 'validation', batch_spec(config)):
        logits = model(preprocess.normalize(batch['image'], config.model), training=False)
        right += int(np.sum(np.argmax(logits, axis=1) == batch['label'].numpy()))
        total += len(batch['label'])
    assert right / total > 0.9


def test_metrics_are_lines_of_json_in_full_precision(workdir: str, data: DataSet) -> None:
    rows = [json.loads(line) for line in (Path(workdir) / 'metrics.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == [10, 20, 30, 40]
    assert all(set(row) == {'step', 'loss', 'accuracy', 'learning_rate', 'epoch'} for row in rows)
    assert rows[-1]['epoch'] == 40 * 16 / data.split('train').pictures
    assert rows[-1]['learning_rate'] == pytest.approx(0.01)
    assert rows[-1]['loss'] < rows[0]['loss']
    assert any(len(repr(row['loss'])) > 15 for row in rows)


def test_tensorboard_shows_the_same_numbers_and_the_rate(workdir: str) -> None:
    events = EventAccumulator(str(Path(workdir) / naming.TENSORBOARD)).Reload()
    names = ['loss', 'accuracy', 'learning_rate', 'pictures_per_second']
    assert set(names) <= set(events.Tags()['tensors'])
    shown = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors('loss')]
    assert shown == pytest.approx([row['loss'] for row in metric_writers.read_metrics(workdir)])
    assert all(tf.make_ndarray(e.tensor_proto) > 0 for e in events.Tensors('pictures_per_second'))


def test_tensorboard_forgets_what_a_cut_off_run_logged_after_its_checkpoint(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with metric_writers.MetricWriter(folder, step=0) as board:
        for step in (1, 2, 3, 4):
            board.log({'step': step, 'loss': 1.0 * step}, measured={})
    with metric_writers.MetricWriter(folder, step=2) as board:
        for step in (3, 4, 5):
            board.log({'step': step, 'loss': 10.0 * step}, measured={})
    assert [row['loss'] for row in metric_writers.read_metrics(folder)] == [1, 2, 30, 40, 50]
    events = EventAccumulator(str(tmp_path / naming.TENSORBOARD)).Reload()
    assert [event.step for event in events.Tensors('loss')] == [1, 2, 3, 4, 5]
    shown = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors('loss')]
    assert shown == [1, 2, 30, 40, 50]


def test_half_a_line_that_a_killed_run_left_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    assert metric_writers.read_metrics(str(tmp_path)) == [{'step': 1, 'loss': 0.5}]
    with metric_writers.MetricWriter(str(tmp_path), step=1):
        pass
    assert path.read_text() == '{"step": 1, "loss": 0.5}\n'


def test_a_finished_run_is_left_as_it_is(workdir: str, data: DataSet) -> None:
    before = (Path(workdir) / 'metrics.jsonl').read_bytes()
    last = train(CONFIG, data, workdir)
    assert last['step'] == 40
    assert (Path(workdir) / 'metrics.jsonl').read_bytes() == before
    assert checkpoint.steps(workdir) == [40, 20]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'batch_size': 8}, 'batch_size was 16 and now is 8'),
        ({'seed': 5}, 'seed was 0 and now is 5'),
        (
            {'total_steps': 30},
            'total_steps must be at least 40, which the run has completed, got 30',
        ),
    ],
)
def test_a_workdir_is_not_taken_over_by_another_config(
    workdir: str, data: DataSet, change: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(CONFIG, **change), data, workdir)


def test_a_workdir_is_not_taken_over_by_other_data(
    workdir: str, make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    other = open_data_set(make_data_set(tmp_path / 'other', seed=1))
    with pytest.raises(UserError, match='must resume with its own data'):
        train(CONFIG, other, workdir)


def test_checkpoints_without_a_config_are_not_overwritten(data: DataSet, tmp_path: Path) -> None:
    state = tf.train.Checkpoint(number=tf.Variable(1.0))
    checkpoint.save(state, str(tmp_path), step=7, keep=1)
    with pytest.raises(UserError, match=r'must have a config\.json, got none'):
        train(CONFIG, data, str(tmp_path))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'strategy': 'multi_worker'}, 'TF_CONFIG must be set for multi_worker'),
        ({'strategy': 'tpu'}, 'strategy tpu needs a TPU'),
        ({'device': 'gpu'}, 'TensorFlow sees none'),
        ({'strategy': 'mirrored'}, 'at most the 0 GPUs that TensorFlow sees, got 1'),
        ({'strategy': 'mirrored', 'num_devices': 4}, 'at most the 0 GPUs .* got 4'),
        ({'num_devices': 2}, 'num_devices must be 1 for one_device, got 2'),
    ],
)
@pytest.mark.skipif(
    bool(tf.config.list_physical_devices('GPU')), reason='asks for GPUs that must be absent'
)
def test_absent_devices_are_an_error_and_leave_no_workdir(
    data: DataSet, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(CONFIG, **change), data, str(tmp_path / 'run'))
    assert not (tmp_path / 'run').exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize('damage', [_flip, _cut, Path.unlink])
def test_a_shard_damaged_after_the_check_stops_the_run_by_name(
    make_data_set: MakeDataSet, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data'))
    damage(tmp_path / 'data' / 'train-00001-of-00003.tfrecord')
    with pytest.raises(UserError, match='train-00001-of-00003'):
        train(CONFIG, data, str(tmp_path / 'run'))


def test_a_picture_that_cannot_be_decoded_stops_the_run_in_one_line(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data', cut_a_picture=True))
    with pytest.raises(UserError, match='must be decodable, one is not'):
        train(CONFIG, data, str(tmp_path / 'run'))


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_last_checkpoint(
    data: DataSet, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        CONFIG,
        checkpoint_every_steps=1,
        keep_checkpoints=40,
        optimizer=OptimizerConfig(
            name='sgd', learning_rate=1e12, schedule=ScheduleConfig(warmup_steps=10)
        ),
    )
    with pytest.raises(UserError, match='must be finite'):
        train(config, data, str(tmp_path))
    saved = checkpoint.steps(str(tmp_path))
    assert saved
    assert saved[0] < 40
    reader = tf.train.load_checkpoint(str(tmp_path / 'checkpoints' / f'ckpt-{saved[0]:08d}'))
    for name, dtype in reader.get_variable_to_dtype_map().items():
        if dtype.is_floating:
            assert np.isfinite(reader.get_tensor(name)).all(), name


_SAME_STEPS_ON_ONE_AND_TWO_DEVICES = """
import sys
import keras
import numpy as np
import tensorflow as tf
from trainer.config import AugmentConfig, InputConfig, LossConfig, OptimizerConfig, TrainConfig
from trainer.data.batches import train_batches
from trainer.data.data_set import open_data_set
from trainer.data.examples import batch_spec
from trainer.data.info import data_info
from trainer.distribution.strategy import build_strategy
from trainer.losses import objective
from trainer.optim.optimizers import build_optimizer
from trainer.training.state import State, Window
from trainer.training.step import compile_steps

def losses(**devices):
    config = TrainConfig(
        batch_size=16, total_steps=12, input=InputConfig(height=28, width=28),
        optimizer=OptimizerConfig(name='sgd', learning_rate=0.05),
        augment=AugmentConfig(
            crop='resized', rand_augment_ops=1, hue=0.1, erase=0.5, mixup=0.4, cutmix=1.0),
        loss=LossConfig(levels='summed', effective_beta=0.9, reweight_from_step=6), **devices)
    strategy = build_strategy(config)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([
            keras.Input([28, 28, 3]), keras.layers.Conv2D(4, 3, 2, activation='relu'),
            keras.layers.Flatten(), keras.layers.Dense(4)])
        optimizer = build_optimizer(config.optimizer, total_steps=12)
        optimizer.build(model.trainable_variables)
    data = open_data_set(sys.argv[1])
    state = State(model, optimizer, iter(train_batches(data, batch_spec(config))), Window())
    info = data_info(data, config)
    goal = objective.build_objective(config.loss, info=info, tree=data.categories)
    take = compile_steps(state, strategy, config, objective=goal)
    found = []
    for _ in range(12):
        take(tf.constant(1))
        found.append(state.window.reset(batch_size=16)['loss'])
    return strategy.num_replicas_in_sync, found

two = losses(strategy='mirrored', device='cpu', num_devices=2)
one = losses()
assert (two[0], one[0]) == (2, 1), (two[0], one[0])
assert len(set(one[1])) == 12, one[1]
np.testing.assert_allclose(two[1], one[1], rtol=1e-4)
"""


def test_two_mirrored_devices_give_the_losses_of_one(data_folder: str) -> None:
    """In a process of its own: the devices must be set before TensorFlow starts."""
    done = subprocess.run(
        [sys.executable, '-c', _SAME_STEPS_ON_ONE_AND_TWO_DEVICES, data_folder],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
