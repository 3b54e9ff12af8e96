"""A run that resumes on other devices sees the same pictures in the same order."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.trainer.programs import run_program
from trainer import naming

_RUNS = """
import dataclasses
import sys
from trainer.config import AugmentConfig, InputConfig, ModelConfig, OptimizerConfig, StepConfig
from trainer.config import TrainConfig
from trainer.data.data_set import open_data_set
from trainer.distribution.strategy import build_strategy
from trainer.training.loop import train

one = TrainConfig(
    batch_size=16, total_steps=24, log_every_steps=2, checkpoint_every_steps=8, device='cpu',
    model=ModelConfig(channels=4, dropout=0.0),
    optimizer=OptimizerConfig(name='sgd', learning_rate=0.05),
    input=InputConfig(height=28, width=28, shuffle_records=40),
    augment=AugmentConfig(crop='pad', brightness=0.2),
    step=StepConfig(ema_decay=0.9, synchronized_batch_norm=True))
sharded = dataclasses.replace(one, input=dataclasses.replace(one.input, reading='sharded'))
two = dataclasses.replace(sharded, strategy='mirrored', num_devices=2)
data, folder = open_data_set(sys.argv[1]), sys.argv[2]
build_strategy(two)  # the devices must be set before TensorFlow starts
train(one, data, folder + '/stayed')
for config, steps in ((sharded, 8), (two, 16), (sharded, 24)):
    train(dataclasses.replace(config, total_steps=steps), data, folder + '/moved')
"""


def test_one_device_then_two_then_one_see_the_pictures_of_one(
    data_folder: str, tmp_path: Path
) -> None:
    """Their losses tell: batch normalization is over the global batch, and nothing is dropped.

    One host that reads sharded has all records, in the order of shared reading.
    """
    done = run_program(_RUNS, data_folder, str(tmp_path))
    assert done.returncode == 0, done.stderr
    same = 'the same pictures in the same order'
    assert f'training: devices were 1 and now are 2: {same}' in done.stderr
    assert f'training: devices were 2 and now are 1: {same}' in done.stderr
    stayed, moved = (_metrics(tmp_path / name) for name in ('stayed', 'moved'))
    assert [row['step'] for row in moved] == [row['step'] for row in stayed] == [*range(2, 25, 2)]
    losses = [row['loss'] for row in stayed]
    np.testing.assert_allclose([row['loss'] for row in moved], losses, rtol=1e-3)
    assert np.abs(np.diff(losses) / losses[1:]).min() > 2e-3  # another batch has another loss
    checkpoints = [
        tf.train.load_checkpoint(str(tmp_path / name / naming.CHECKPOINTS / 'ckpt-00000024'))
        for name in ('stayed', 'moved')
    ]
    for name in ('position', 'pictures/read'):
        variable = f'{name}/.ATTRIBUTES/VARIABLE_VALUE'
        one, other = (reader.get_tensor(variable).ravel() for reader in checkpoints)
        np.testing.assert_array_equal(other, one)


def _metrics(workdir: Path) -> list[dict[str, float]]:
    lines = (workdir / naming.METRICS).read_text().splitlines()
    return [json.loads(line) for line in lines]
