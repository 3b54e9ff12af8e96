"""The devices of a run."""

import dataclasses
from pathlib import Path

import pytest
import tensorflow as tf

from catalog.errors import UserError
from tests.trainer.programs import run_program
from trainer.config import InputConfig, ModelConfig, TrainConfig
from trainer.data.data_set import DataSet, open_data_set
from trainer.training.loop import train

CONFIG = TrainConfig(
    batch_size=16,
    total_steps=40,
    model=ModelConfig(channels=4),
    input=InputConfig(height=28, width=28),
)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'strategy': 'multi_worker'}, 'TF_CONFIG must be set for multi_worker'),
        ({'strategy': 'tpu'}, r'strategy tpu needs a TPU, .*: TPUs not found in the cluster$'),
        ({'device': 'gpu'}, 'TensorFlow sees none'),
        ({'strategy': 'mirrored'}, 'at most the number of GPUs, 0, got 1;'),
        ({'strategy': 'mirrored', 'num_devices': 4}, 'at most the number of GPUs, 0, got 4;'),
        ({'num_devices': 2}, 'num_devices must be 1 for one_device, got 2'),
    ],
)
@pytest.mark.skipif(
    bool(tf.config.list_physical_devices('GPU')), reason='needs a machine without GPUs'
)
def test_missing_devices_are_an_error_and_leave_no_workdir(
    data: DataSet, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(CONFIG, **change), data, str(tmp_path / 'run'))
    assert not (tmp_path / 'run').exists()


_LOSSES_ON_ONE_AND_TWO_DEVICES = """
import sys
import keras
import numpy as np
import tensorflow as tf
from trainer.config import AugmentConfig, InputConfig, LossConfig, OptimizerConfig, TrainConfig
from trainer.data.batches import train_batches
from trainer.data.data_set import open_data_set
from trainer.data.examples import batch_spec
from trainer.data.info import data_info
from trainer.distribution import replica_batches
from trainer.distribution.strategy import build_strategy
from trainer.losses import objective
from trainer.training.model_inputs import model_inputs
from trainer.optim.optimizers import build_optimizer
from trainer.training.state import State, Window
from trainer.training.step import compile_steps

def run(**devices):
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
    batches = replica_batches.iterate(
        lambda worker, workers, devices: train_batches(
            data, batch_spec(config), worker=worker, num_workers=workers, devices=devices),
        strategy, draw=model_inputs(config).draw, spec=batch_spec(config), first_step=0)
    state = State(model, optimizer, Window())
    info = data_info(data, config)
    goal = objective.build_objective(config.loss, info=info, tree=data.categories)
    take = compile_steps(state, strategy, config, objective=goal)
    losses = []
    for _ in range(12):
        take(tf.constant(1), batches)
        losses.append(state.window.reset(batch_size=16)['loss'])
    return strategy.num_replicas_in_sync, losses

two = run(strategy='mirrored', device='cpu', num_devices=2)
one = run()
assert (two[0], one[0]) == (2, 1), (two[0], one[0])
assert len(set(one[1])) == 12, one[1]
np.testing.assert_allclose(two[1], one[1], rtol=1e-4)
"""


def test_two_mirrored_devices_compute_the_losses_of_one(data_folder: str) -> None:
    """Runs in its own process: the devices must be set before TensorFlow starts."""
    done = run_program(_LOSSES_ON_ONE_AND_TWO_DEVICES, data_folder)
    assert done.returncode == 0, done.stderr
