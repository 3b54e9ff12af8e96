"""A replica computes one program that XLA compiles, with the numbers of plain TensorFlow."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import (
    AugmentConfig,
    FusionConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    StepConfig,
    TrainConfig,
)
from trainer.data.batches import train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.data.info import data_info
from trainer.distribution import replica_batches
from trainer.distribution.strategy import build_strategy
from trainer.losses.objective import build_objective
from trainer.training.build import build_state
from trainer.training.model_inputs import ModelInputs, model_inputs
from trainer.training.step import ReplicaStep, build_replica_step

_STEPS = 3
_PICTURES = TrainConfig(
    batch_size=4,
    total_steps=_STEPS,
    device='cpu',
    model=ModelConfig(channels=4, dropout=0.0),
    input=InputConfig(height=16, width=16, shuffle_records=20),
    augment=AugmentConfig(flip=False),
    step=StepConfig(xla=True),
)


def _product(name: str) -> dict[str, object]:
    return {
        'model': ModelConfig(
            channels=4, dropout=0.0, fusion=FusionConfig(name=name, max_views=2, units=4)
        )
    }


# Each loss, each augmentation and each fusion once.
_CASES: dict[str, dict[str, object]] = {
    'cross entropy, mixed, in parts': {
        'augment': AugmentConfig(crop='pad', hue=0.1, contrast=0.2, mixup=0.4, cutmix=1.0),
        'loss': LossConfig(label_smoothing=0.1),
        'step': StepConfig(xla=True, accumulate=2, clip_norm=1.0),
    },
    'focal, summed levels, cropped': {
        'augment': AugmentConfig(crop='resized', erase=0.5),
        'loss': LossConfig(name='focal', levels='summed'),
    },
    'generalized, heads, weighted classes': {
        'augment': AugmentConfig(rand_augment_ops=1),
        'loss': LossConfig(
            name='generalized', levels='heads', effective_beta=0.9, reweight_from_step=2
        ),
    },
    'ldam, cosines': {
        'loss': LossConfig(name='ldam', label_smoothing=0.1),
        'model': ModelConfig(channels=4, dropout=0.0, last_layer='cosine', pooling='gem'),
    },
    'gated fusion': _product('gated'),
    'mlp fusion': _product('mlp'),
    'mean fusion': _product('mean'),
    'max fusion': _product('max'),
}

_IN_THE_SUITE = ('cross entropy, mixed, in parts',)
_ONLY_IN_MAKE_XLA = pytest.mark.skipif(
    'XLA_ALL' not in os.environ, reason='takes up to half a minute: make xla runs it'
)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


class _Replica:
    """What one replica computes, its weights, and its batches."""

    def __init__(self, config: TrainConfig, data: DataSet) -> None:
        self.strategy = build_strategy(config)
        info = data_info(data, config)
        self.state = build_state(config, data, info, strategy=self.strategy)
        goal = build_objective(config.loss, info=info, tree=data.categories)
        self.step = build_replica_step(self.state, self.strategy, config, objective=goal)
        spec = batch_spec(config)
        self.batches = replica_batches.iterate(
            lambda worker, workers, devices: train_batches(data, spec),
            self.strategy,
            draw=model_inputs(config).draw,
            spec=spec,
            first_step=0,
        )

    def next_batch(self) -> dict[str, tf.Tensor]:
        batch = next(self.batches)
        del batch['position']
        return batch

    def losses(self, step: ReplicaStep) -> list[float]:
        return [
            float(self.strategy.run(step, args=(self.next_batch(), tf.constant(n, tf.int64)))[0])
            for n in range(_STEPS)
        ]

    def weights(self) -> np.ndarray:
        weights: list[keras.Variable] = self.state.network.weights
        return np.concatenate([np.ravel(weight.numpy()) for weight in weights])


@contextlib.contextmanager
def _without_xla() -> Iterator[None]:
    """Computes each operation on its own, also those of functions that XLA would compile."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def _program(replica: _Replica) -> str:
    """Returns the program of a step in XLA's intermediate language."""
    compiled = _compiled(lambda *args: replica.strategy.run(replica.step, args=args))
    get_program = compiled.experimental_get_compiler_ir(
        replica.next_batch(), tf.constant(0, tf.int64)
    )
    return str(get_program(stage='hlo'))


def _compiled(step: ReplicaStep) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    return tf.function(step, jit_compile=True, autograph=False)


@pytest.mark.parametrize(
    'changes',
    [
        pytest.param(changes, id=name, marks=[] if name in _IN_THE_SUITE else _ONLY_IN_MAKE_XLA)
        for name, changes in _CASES.items()
    ],
)
def test_a_replica_computes_one_program_of_xla(changes: dict[str, object], data: DataSet) -> None:
    """Converts it as for a TPU: an operation of the host, or an open shape, is an error."""
    replica = _Replica(dataclasses.replace(_PICTURES, **changes), data)  # type: ignore[arg-type]
    program = _program(replica)
    assert 'parameter' in program
    assert 'custom-call' not in program  # of Python, or of another library


@_ONLY_IN_MAKE_XLA
@pytest.mark.parametrize('changes', _CASES.values(), ids=_CASES.keys())
def test_the_program_gives_the_numbers_of_single_operations(
    changes: dict[str, object], data: DataSet
) -> None:
    config = dataclasses.replace(_PICTURES, **changes)  # type: ignore[arg-type]
    compiled, plain = _Replica(config, data), _Replica(config, data)
    losses = compiled.losses(_compiled(compiled.step))
    with _without_xla():
        expected = plain.losses(plain.step)
    assert len(set(expected)) == _STEPS
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
    np.testing.assert_allclose(compiled.weights(), plain.weights(), rtol=1e-2, atol=2e-3)


def test_an_operation_of_the_host_does_not_compile(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above would fail."""
    count = ModelInputs.picture_counts

    def on_host(inputs: ModelInputs, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.numpy_function(lambda counts: counts, [count(inputs, batch)], tf.int64)

    monkeypatch.setattr(ModelInputs, 'picture_counts', on_host)
    with pytest.raises(ValueError, match="'PyFunc'"):
        _program(_Replica(_PICTURES, data))
