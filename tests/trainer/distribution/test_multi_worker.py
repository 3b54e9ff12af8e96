"""Training with two worker processes: the results of one, and exact resumption."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.distribution.worker_processes import (
    start_training,
    start_two,
    wait_for_exit,
    wait_for_line,
)
from trainer import naming
from trainer.data import preprocess
from trainer.data.batches import evaluation_batches
from trainer.data.data_set import open_data_set
from trainer.data.examples import batch_spec
from trainer.inference.runs import restore_member
from trainer.workdir import checkpoint

_DETECTION_SECONDS = 30  # until a worker reports that its peer is lost


def _final_tensors(workdir: Path) -> dict[str, np.ndarray]:
    newest = workdir / naming.CHECKPOINTS / f'ckpt-{checkpoint.steps(str(workdir))[0]:08d}'
    reader = tf.train.load_checkpoint(str(newest))
    return {
        name: reader.get_tensor(name)
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype not in (tf.string, tf.variant)
    }


def test_two_workers_resume_exactly_after_either_is_killed(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    """The data set has one shard: there may be fewer shards than workers."""
    data = make_data_set(tmp_path / 'data', shards=1)
    uninterrupted, cut = tmp_path / 'uninterrupted', tmp_path / 'cut'
    assert [code for code, *_ in wait_for_exit(start_training(data, uninterrupted))] == [0, 0]

    for victim, line in ((1, 9), (0, 19)):
        processes = start_training(data, cut)
        wait_for_line(processes, cut, line=line)
        processes[victim].send_signal(signal.SIGKILL)
        survivor = processes[1 - victim]
        _, errors = survivor.communicate(timeout=_DETECTION_SECONDS)
        assert survivor.returncode == 75, errors
        message = f'error: worker {1 - victim}: all 2 workers must be running, one is lost'
        assert errors.strip().splitlines()[-1].startswith(message), errors
        assert 'Traceback' not in errors
        processes[victim].communicate()

    assert [code for code, *_ in wait_for_exit(start_training(data, cut))] == [0, 0]
    assert (cut / 'metrics.jsonl').read_bytes() == (uninterrupted / 'metrics.jsonl').read_bytes()
    expected, actual = _final_tensors(uninterrupted), _final_tensors(cut)
    assert sorted(expected) == sorted(actual)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
    steps = {path.name.partition('ckpt-')[2][:8] for path in (cut / 'checkpoints').iterdir()}
    assert steps == {'00000050', '00000060'}
    _check_evaluation(data, uninterrupted)


def _check_evaluation(folder: str, workdir: Path) -> None:
    """Checks that two workers together compute the metrics of one process."""
    member, _ = restore_member(str(workdir))
    model, config = member.model, member.config
    data = open_data_set(folder)
    labels, logits = [], []
    for batch in evaluation_batches(data, 'validation', batch_spec(config)):
        labels.append(batch['label'].numpy())
        logits.append(model(preprocess.normalize(batch['image'], config.model)).numpy())
    true_labels, actual = np.concatenate(labels), np.concatenate(logits)
    last = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
    assert last['validation_accuracy'] == np.mean(actual.argmax(axis=1) == true_labels)
    losses = tf.keras.losses.sparse_categorical_crossentropy(true_labels, actual, from_logits=True)
    assert last['validation_loss'] == pytest.approx(float(np.mean(losses)), rel=1e-4)


_LOSSES = """
import sys
import keras
import numpy as np
import tensorflow as tf
from trainer.config import (
    AugmentConfig, FusionConfig, InputConfig, LossConfig, ModelConfig, OptimizerConfig, TrainConfig)
from trainer.data.batches import train_batches
from trainer.data.data_set import open_data_set
from trainer.data.examples import batch_spec
from trainer.data.info import data_info
from trainer.distribution import replica_batches
from trainer.distribution.strategy import build_strategy
from trainer.losses import objective
from trainer.models.fusion import fuse_views
from trainer.optim.optimizers import build_optimizer
from trainer.training.model_inputs import model_inputs
from trainer.training.state import State, Window, create_position
from trainer.training.step import compile_steps

def make_config(fusion, reading, **devices):
    mixing = {'mixup': 0.4, 'cutmix': 1.0} if fusion == 'none' else {}
    return TrainConfig(
        batch_size=16, total_steps=12, device='cpu',
        input=InputConfig(height=28, width=28, reading=reading),
        optimizer=OptimizerConfig(name='sgd', learning_rate=0.05),
        augment=AugmentConfig(crop='resized', rand_augment_ops=1, hue=0.1, erase=0.5, **mixing),
        loss=LossConfig(levels='summed', effective_beta=0.9, reweight_from_step=6),
        model=ModelConfig(fusion=FusionConfig(name=fusion)), **devices)

def make_model(config):
    inputs = image = keras.Input([28, 28, 3])
    x = keras.layers.Conv2D(4, 3, 2, activation='relu')(image)
    x = keras.layers.Flatten()(x)
    if config.model.fusion.is_on:
        inputs = [image, keras.Input([None], dtype='bool')]
        x = fuse_views(x, inputs[1], config.model.fusion)
    return keras.Model(inputs, keras.layers.Dense(4)(x))

def losses(strategy, config):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make_model(config)
        optimizer = build_optimizer(config.optimizer, total_steps=12)
        optimizer.build(model.trainable_variables)
    data = open_data_set(sys.argv[1])
    state = State(model, optimizer, Window(), position=create_position(config.input, hosts=2))
    batches = replica_batches.iterate(
        lambda worker, workers, devices: train_batches(
            data, batch_spec(config), worker=worker, num_workers=workers, devices=devices,
            starts=state.positions),
        strategy, draw=model_inputs(config).draw, spec=batch_spec(config), first_step=0)
    info = data_info(data, config)
    goal = objective.build_objective(config.loss, info=info, tree=data.categories)
    take = compile_steps(state, strategy, config, objective=goal)
    losses_per_step = []
    for _ in range(12):
        take(tf.constant(1), batches)
        losses_per_step.append(state.window.reset(batch_size=16)['loss'])
    return losses_per_step, state.positions

two, one = (
    build_strategy(make_config('none', 'shared', strategy=name))
    for name in ('multi_worker', 'one_device'))
assert (two.num_replicas_in_sync, one.num_replicas_in_sync) == (2, 1)
for fusion, reading in (('none', 'shared'), ('gated', 'sharded')):
    actual, positions = losses(two, make_config(fusion, reading, strategy='multi_worker'))
    expected, positions_of_one = losses(one, make_config(fusion, reading))
    assert len(set(expected)) == 12, expected
    np.testing.assert_allclose(actual, expected, rtol=1e-4)
    assert positions == positions_of_one
    assert len(positions) == (1 if reading == 'shared' else 2), positions
"""


def test_two_workers_compute_the_losses_of_one_device(data_folder: str) -> None:
    """Also if each worker reads its own part, and the one device both parts."""
    for code, _, errors in wait_for_exit(start_two('-c', _LOSSES, data_folder)):
        assert code == 0, errors
