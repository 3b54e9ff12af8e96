"""A run that is killed and resumes on other devices sees the same pictures in the same order."""

import json
import signal
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.trainer.programs import run_program
from trainer import naming

_RUNS = """
import dataclasses
import os
import signal
import sys
import threading
import time
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
data, folder, last_line = open_data_set(sys.argv[1]), sys.argv[2], int(sys.argv[3])
build_strategy(two)  # the devices must be set before TensorFlow starts

def kill():
    while not os.path.exists(path) or open(path).read().count(chr(10)) < last_line:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

path = folder + '/moved/metrics.jsonl'
threading.Thread(target=kill, daemon=True).start()
for name in sys.argv[4:]:
    config = {'sharded': sharded, 'two': two, 'stayed': one}[name]
    train(config, data, folder + ('/stayed' if name == 'stayed' else '/moved'))
"""

_NEVER = 1000  # lines


def test_one_device_then_two_then_one_see_the_pictures_of_one(
    data_folder: str, tmp_path: Path
) -> None:
    """Their losses tell: batch normalization is over the global batch, and nothing is dropped.

    One host that reads sharded has all records, in the order of shared reading. The runs are killed
    after step 10 and step 18, after checkpoints of step 8 and step 16.
    """
    stayed, moved = tmp_path / 'stayed', tmp_path / 'moved'
    errors = []
    for line, code, runs in (
        (5, -signal.SIGKILL, ['sharded']),
        (9, -signal.SIGKILL, ['two']),
        (_NEVER, 0, ['sharded', 'stayed']),
    ):
        done = run_program(_RUNS, data_folder, str(tmp_path), str(line), *runs)
        assert done.returncode == code, done.stderr
        errors.append(done.stderr)
    same = 'the same pictures in the same order'
    assert f'training: devices were 1 and now are 2: {same}' in errors[1]
    assert f'training: devices were 2 and now are 1: {same}' in errors[2]
    metrics = _metrics(moved)
    assert [row['step'] for row in metrics] == [*range(2, 25, 2)]
    losses = [row['loss'] for row in _metrics(stayed)]
    np.testing.assert_allclose([row['loss'] for row in metrics], losses, rtol=1e-3)
    assert np.abs(np.diff(losses) / losses[1:]).min() > 2e-3  # another batch has another loss
    checkpoints = [
        tf.train.load_checkpoint(str(workdir / naming.CHECKPOINTS / 'ckpt-00000024'))
        for workdir in (stayed, moved)
    ]
    for name in ('position', 'pictures/read'):
        variable = f'{name}/.ATTRIBUTES/VARIABLE_VALUE'
        one, other = (reader.get_tensor(variable).ravel() for reader in checkpoints)
        np.testing.assert_array_equal(other, one)


def _metrics(workdir: Path) -> list[dict[str, float]]:
    lines = (workdir / naming.METRICS).read_text().splitlines()
    return [json.loads(line) for line in lines]
