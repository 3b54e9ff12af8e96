"""Two real worker processes on loopback, as two machines would run them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from tests import ports
from trainer import naming
from trainer.data import preprocess
from trainer.data.batches import evaluation_batches
from trainer.data.data_set import open_data_set
from trainer.data.examples import batch_spec
from trainer.distribution import workers
from trainer.inference.runs import restore_member
from trainer.workdir import checkpoint

_FLAGS = (
    '--config=configs/tiny.py',
    '--config.strategy=multi_worker',
    '--config.device=cpu',
    '--config.batch_size=16',
    '--config.total_steps=60',
    '--config.log_every_steps=2',
    '--config.checkpoint_every_steps=10',
    '--config.keep_checkpoints=2',
    '--config.steps_per_call=2',
    '--config.validation.every_steps=20',
    '--config.model.channels=4',
    '--config.model.dropout=0.3',
    '--config.augment.flip=true',
    '--config.augment.crop=pad',
    '--config.step.ema_decay=0.9',
    '--config.step.accumulate=2',
    '--config.input.shuffle_records=40',
)
_ROOT = Path(__file__).parents[3]
_LIMIT_SECONDS = 500
_NOTICED_SECONDS = 30  # a lost peer


def _start(*command: str, index: int, at: list[int]) -> subprocess.Popen[str]:
    """A worker of those at these ports."""
    hosts = [f'127.0.0.1:{port}' for port in at]
    cluster = {'cluster': {'worker': hosts}, 'task': {'type': 'worker', 'index': index}}
    environment = {'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_CONFIG': json.dumps(cluster)}
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**os.environ, **environment},
    )


def _start_two(*command: str) -> list[subprocess.Popen[str]]:
    at = [ports.find_free_port(), ports.find_free_port()]
    return [_start(*command, index=index, at=at) for index in range(2)]


def _run_command(data: str, workdir: Path) -> list[str]:
    return ['-m', 'trainer.task', f'--data={data}', f'--workdir={workdir}', *_FLAGS]


def _start_run(data: str, workdir: Path) -> list[subprocess.Popen[str]]:
    return _start_two(*_run_command(data, workdir))


def _ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each."""
    told = [process.communicate(timeout=_LIMIT_SECONDS) for process in processes]
    return [(p.returncode, *text) for p, text in zip(processes, told, strict=True)]


def _wait_for_line(processes: list[subprocess.Popen[str]], workdir: Path, *, line: int) -> None:
    metrics = workdir / 'metrics.jsonl'
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not metrics.exists() or metrics.read_bytes().count(b'\n') < line:
        assert all(process.poll() is None for process in processes), _ends(processes)
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _final_tensors(workdir: Path) -> dict[str, np.ndarray]:
    newest = workdir / naming.CHECKPOINTS / f'ckpt-{checkpoint.steps(str(workdir))[0]:08d}'
    reader = tf.train.load_checkpoint(str(newest))
    return {
        name: reader.get_tensor(name)
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype not in (tf.string, tf.variant)
    }


def test_two_workers_go_on_with_the_same_numbers_after_each_was_killed(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    """Of one shard: there may be fewer than workers."""
    data = make_data_set(tmp_path / 'data', shards=1)
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert [end[0] for end in _ends(_start_run(data, whole))] == [0, 0]

    for victim, line in ((1, 9), (0, 19)):
        processes = _start_run(data, cut)
        _wait_for_line(processes, cut, line=line)
        processes[victim].send_signal(signal.SIGKILL)
        survivor = processes[1 - victim]
        _, errors = survivor.communicate(timeout=_NOTICED_SECONDS)
        assert survivor.returncode == 2, errors
        message = f'error: worker {1 - victim}: all 2 workers must be running, one is lost'
        assert errors.strip().splitlines()[-1].startswith(message), errors
        assert 'Traceback' not in errors
        processes[victim].communicate()

    assert [end[0] for end in _ends(_start_run(data, cut))] == [0, 0]
    assert (cut / 'metrics.jsonl').read_bytes() == (whole / 'metrics.jsonl').read_bytes()
    expected, found = _final_tensors(whole), _final_tensors(cut)
    assert sorted(expected) == sorted(found)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    steps = {path.name.partition('ckpt-')[2][:8] for path in (cut / 'checkpoints').iterdir()}
    assert steps == {'00000050', '00000060'}
    _check_evaluation(data, whole)


def _check_evaluation(folder: str, workdir: Path) -> None:
    """What two workers measured together is what one process finds."""
    member, _ = restore_member(str(workdir))
    model, config = member.model, member.config
    data = open_data_set(folder)
    labels, logits = [], []
    for batch in evaluation_batches(data, 'validation', batch_spec(config)):
        labels.append(batch['label'].numpy())
        logits.append(model(preprocess.normalize(batch['image'], config.model)).numpy())
    truth, found = np.concatenate(labels), np.concatenate(logits)
    last = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
    assert last['validation_accuracy'] == np.mean(found.argmax(axis=1) == truth)
    losses = tf.keras.losses.sparse_categorical_crossentropy(truth, found, from_logits=True)
    assert last['validation_loss'] == pytest.approx(float(np.mean(losses)), rel=1e-4)


def test_sigterm_to_one_worker_stops_both_after_the_same_step(
    data_folder: str, tmp_path: Path
) -> None:
    processes = _start_run(data_folder, tmp_path)
    _wait_for_line(processes, tmp_path, line=3)
    processes[1].send_signal(signal.SIGTERM)
    step = None
    for code, _, errors in _ends(processes):
        assert code == 128 + signal.SIGTERM, errors
        step = checkpoint.steps(str(tmp_path))[0]
        assert f'stopped by SIGTERM; step {step} is saved' in errors


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


def test_ctrl_c_ends_a_worker_that_waits_for_the_other(data_folder: str, tmp_path: Path) -> None:
    at = [ports.find_free_port(), ports.find_free_port()]
    process = _start(*_run_command(data_folder, tmp_path), index=0, at=at)
    deadline = time.monotonic() + _LIMIT_SECONDS
    with process:
        while not _listens(at[0]):  # and then waits
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(_LIMIT_SECONDS) == -signal.SIGINT
        finally:
            process.kill()
    assert not list(tmp_path.iterdir())


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
from trainer.distribution.strategy import build_strategy, find_cluster
from trainer.losses import objective
from trainer.models.fusion import fuse_views
from trainer.optim.optimizers import build_optimizer
from trainer.training.state import State, Window
from trainer.training.step import compile_steps

def make_config(fusion, **devices):
    mixing = {'mixup': 0.4, 'cutmix': 1.0} if fusion == 'none' else {}
    return TrainConfig(
        batch_size=16, total_steps=12, device='cpu', input=InputConfig(height=28, width=28),
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
    cluster = find_cluster(config.strategy)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make_model(config)
        optimizer = build_optimizer(config.optimizer, total_steps=12)
        optimizer.build(model.trainable_variables)
    data = open_data_set(sys.argv[1])
    batches = train_batches(
        data, batch_spec(config), worker=cluster.index, num_workers=cluster.count)
    state = State(model, optimizer, iter(batches), Window())
    info = data_info(data, config)
    goal = objective.build_objective(config.loss, info=info, tree=data.categories)
    take = compile_steps(state, strategy, config, objective=goal, num_workers=cluster.count)
    found = []
    for _ in range(12):
        take(tf.constant(1))
        found.append(state.window.reset(batch_size=16)['loss'])
    return found

two, one = (build_strategy(make_config('none', strategy=s)) for s in ('multi_worker', 'one_device'))
assert (two.num_replicas_in_sync, one.num_replicas_in_sync) == (2, 1)
for fusion in ('none', 'gated'):
    found = losses(two, make_config(fusion, strategy='multi_worker'))
    expected = losses(one, make_config(fusion))
    assert len(set(expected)) == 12, expected
    np.testing.assert_allclose(found, expected, rtol=1e-4)
"""


def test_two_workers_give_the_losses_of_one_device(data_folder: str) -> None:
    for code, _, errors in _ends(_start_two('-c', _LOSSES, data_folder)):
        assert code == 0, errors


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('', 'TF_CONFIG must be set for multi_worker'),
        ('{"cluster"', 'TF_CONFIG must be like'),
        ('{"cluster": {}, "task": {"index": 0}}', 'TF_CONFIG must be like'),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            'must list workers only',
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            'index must be below 2, got 2',
        ),
    ],
)
def test_a_tf_config_that_names_no_worker_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv('TF_CONFIG', value)
    with pytest.raises(UserError, match=message):
        workers.read_cluster()
