"""What a run writes, and the errors that stop it. Stopping and resuming: test_resume.py."""

import dataclasses
import gc
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from catalog.errors import UserError
from trainer import naming
from trainer.config import (
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    StartConfig,
    TrainConfig,
)
from trainer.data import preprocess
from trainer.data.batches import evaluation_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.data.info import data_info
from trainer.inference.runs import restore_member
from trainer.training.loop import train
from trainer.workdir import checkpoint, metrics_file, run_files

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


def test_a_run_learns_the_training_data(workdir: str, data: DataSet) -> None:
    member, info = restore_member(workdir)
    model, config = member.model, member.config
    assert config == CONFIG
    assert info.digest == data.digest
    correct = total = 0
    for batch in evaluation_batches(data, 'validation', batch_spec(config)):
        logits = model(preprocess.normalize(batch['image'], config.model), training=False)
        correct += int(np.sum(np.argmax(logits, axis=1) == batch['label'].numpy()))
        total += len(batch['label'])
    assert correct / total > 0.9


def test_metrics_are_lines_of_json_in_full_precision(workdir: str, data: DataSet) -> None:
    rows = [json.loads(line) for line in (Path(workdir) / 'metrics.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == [10, 20, 30, 40]
    assert all(set(row) == {'step', 'loss', 'accuracy', 'learning_rate', 'epoch'} for row in rows)
    assert rows[-1]['epoch'] == 40 * 16 / data.split('train').pictures
    assert rows[-1]['learning_rate'] == pytest.approx(0.01)
    assert rows[-1]['loss'] < rows[0]['loss']
    assert any(len(repr(row['loss'])) > 15 for row in rows)


def test_tensorboard_has_the_same_metrics_and_the_speed(workdir: str) -> None:
    events = EventAccumulator(str(Path(workdir) / naming.TENSORBOARD)).Reload()
    names = ['loss', 'accuracy', 'learning_rate', 'pictures_per_second']
    assert set(names) <= set(events.Tags()['tensors'])
    shown = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors('loss')]
    assert shown == pytest.approx([row['loss'] for row in metrics_file.read_metrics(workdir)])
    assert all(tf.make_ndarray(e.tensor_proto) > 0 for e in events.Tensors('pictures_per_second'))


def test_a_checkpoint_holds_weights_and_optimizer_but_no_pictures(workdir: str) -> None:
    member, _ = restore_member(workdir)
    files = (Path(workdir) / naming.CHECKPOINTS).glob('ckpt-00000040.*')
    size = sum(file.stat().st_size for file in files)
    with_two_moments = 3 * 4 * member.model.count_params()
    assert with_two_moments < size < with_two_moments + 100_000


def test_a_finished_run_is_left_unchanged(workdir: str, data: DataSet) -> None:
    before = (Path(workdir) / 'metrics.jsonl').read_bytes()
    outcome = train(CONFIG, data, workdir)
    assert (outcome.step, outcome.trained) == (40, 0)
    assert outcome.metrics['step'] == 40
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
def test_a_run_does_not_resume_with_another_config(
    workdir: str, data: DataSet, change: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(CONFIG, **change), data, workdir)


def test_a_run_does_not_resume_with_other_data(
    workdir: str, make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    other = open_data_set(make_data_set(tmp_path / 'other', seed=1))
    with pytest.raises(UserError, match='must resume with its own data'):
        train(CONFIG, other, workdir)


def test_a_run_without_a_checkpoint_restarts_with_another_config_and_other_data(
    data: DataSet, make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    wrong = dataclasses.replace(CONFIG, start=StartConfig(workdir=str(tmp_path / 'nowhere')))
    workdir = tmp_path / 'run'
    with pytest.raises(UserError, match=r'nowhere: a workdir must have a data\.json'):
        train(wrong, data, str(workdir))
    assert (workdir / 'config.json').exists()
    other = open_data_set(make_data_set(tmp_path / 'other', seed=1))
    corrected = dataclasses.replace(CONFIG, total_steps=2, seed=5)
    assert train(corrected, other, str(workdir)).trained == 2
    assert run_files.restore_config(str(workdir)).seed == 5
    assert run_files.restore_info(str(workdir)).digest == other.digest


@pytest.mark.parametrize('saved', ['checkpoints', 'best/checkpoints'])
def test_a_run_with_a_damaged_checkpoint_does_not_restart_with_another_config(
    data: DataSet, tmp_path: Path, saved: str
) -> None:
    run_files.save_config(CONFIG, str(tmp_path))
    run_files.save_info(data_info(data, CONFIG), data, str(tmp_path))
    (tmp_path / saved).mkdir(parents=True)
    (tmp_path / saved / 'ckpt-00000010.index.damaged').touch()
    with pytest.raises(UserError, match='seed was 0 and now is 5'):
        train(dataclasses.replace(CONFIG, seed=5), data, str(tmp_path))


def test_a_folder_with_other_files_is_not_trained_into(data: DataSet, tmp_path: Path) -> None:
    (tmp_path / 'training.md').write_text('notes')
    with pytest.raises(UserError, match=r'other files, such as training\.md; choose another'):
        train(CONFIG, data, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ['training.md']


def test_checkpoints_without_a_config_are_not_overwritten(data: DataSet, tmp_path: Path) -> None:
    state = tf.train.Checkpoint(number=tf.Variable(1.0))
    checkpoint.save(state, str(tmp_path), step=7, keep=1)
    with pytest.raises(UserError, match=r'must have a config\.json, got none'):
        train(CONFIG, data, str(tmp_path))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize('damage', [_flip, _cut, Path.unlink])
def test_a_shard_damaged_after_the_check_is_an_error_that_names_it(
    make_data_set: MakeDataSet, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data'))
    damage(tmp_path / 'data' / 'train-00001-of-00003.tfrecord')
    with pytest.raises(UserError, match='train-00001-of-00003'):
        train(CONFIG, data, str(tmp_path / 'run'))


def test_an_undecodable_image_stops_a_run_that_decodes_in_the_graph(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = open_data_set(make_data_set(tmp_path / 'data', cut_a_picture=True))
    in_graph = dataclasses.replace(CONFIG.input, decoder='tensorflow')
    with pytest.raises(UserError, match=r'--config\.input\.decoder=simplejpeg gives the same'):
        train(dataclasses.replace(CONFIG, input=in_graph), data, str(tmp_path / 'run'))
    train(CONFIG, data, str(tmp_path / 'run'))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_a_finite_checkpoint(
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


def test_a_run_leaves_no_thread_of_its_input(data: DataSet, tmp_path: Path) -> None:
    def run(number: int) -> int:
        train(dataclasses.replace(CONFIG, total_steps=2), data, str(tmp_path / str(number)))
        gc.collect()
        return len(os.listdir('/proc/self/task'))

    run(0)  # starts TensorFlow's own
    assert abs(run(1) - run(2)) < 5  # an input has dozens
