"""What a step computes under each of its options, against plain arithmetic."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from catalog import categories
from tests.trainer.programs import run_program
from trainer.config import (
    AugmentConfig,
    InputConfig,
    LossConfig,
    OptimizerConfig,
    StepConfig,
    TrainConfig,
)
from trainer.data import preprocess
from trainer.data.data_set import DataInfo
from trainer.data.examples import batch_spec
from trainer.distribution import replica_batches
from trainer.distribution.strategy import build_strategy
from trainer.losses import objective
from trainer.optim import ema
from trainer.training.model_inputs import model_inputs
from trainer.training.state import State, Window
from trainer.training.step import compile_steps

CONFIG = TrainConfig(
    batch_size=8,
    total_steps=6,
    device='cpu',
    input=InputConfig(height=12, width=12),
    augment=AugmentConfig(flip=False),
    optimizer=OptimizerConfig(name='sgd', learning_rate=0.5, momentum=0.0),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
TREE = b'category_id,category_level1,category_level2,category_level3\n1,A,B,C\n2,A,B,D\n3,E,F,G\n'
OBJECTIVE = objective.build_objective(
    LossConfig(target_power=None),  # no shift
    info=DataInfo('', 3, (3, 3, 2), (0.4, 0.4, 0.2)),
    tree=categories.parse(TREE, path='category_names.csv'),
)


def _batches(worker: int, num_workers: int, devices: int) -> tf.data.Dataset:
    assert (worker, num_workers, devices) == (0, 1, 1)
    options = tf.data.Options()
    options.autotune.enabled = False  # as in the trainer's input pipeline
    batch = {'image': IMAGES, 'label': LABELS, 'position': np.array([0, 0, 8])}
    return tf.data.Dataset.from_tensors(batch).repeat().with_options(options)


def _state(config: TrainConfig, *, dtype: str = 'float32') -> State:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input([12, 12, 3]),
            keras.layers.Conv2D(4, 3, 2, activation='relu', dtype=dtype),
            keras.layers.Flatten(),
            keras.layers.Dense(3, dtype=dtype),
        ]
    )
    optimizer: keras.optimizers.Optimizer = keras.optimizers.SGD(config.optimizer.learning_rate)
    if config.step.precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**30)
    optimizer.build(model.trainable_variables)
    means = ema.create_averages(model) if config.step.ema_decay else []
    return State(model, optimizer, Window(), means)


def _weights(model: keras.Model) -> list[np.ndarray]:
    return [weight.numpy() for weight in model.weights]


def _steps(count: int, **options: object) -> tuple[State, list[list[np.ndarray]]]:
    """Returns the state, and the weights before the first step and after each step."""
    config = dataclasses.replace(CONFIG, step=StepConfig(**options))  # type: ignore[arg-type]
    dtype = {'float16': 'mixed_float16', 'bfloat16': 'mixed_bfloat16'}.get(
        config.step.precision, 'float32'
    )
    state = _state(config, dtype=dtype)
    strategy = build_strategy(config)
    batches = replica_batches.iterate(
        _batches, strategy, draw=model_inputs(config).draw, spec=batch_spec(config), first_step=0
    )
    take = compile_steps(state, strategy, config, objective=OBJECTIVE)
    history = [_weights(state.model)]
    for _ in range(count):
        take(tf.constant(1), batches)
        history.append(_weights(state.model))
    return state, history


def _gradients(model: keras.Model) -> list[np.ndarray]:
    """Returns the gradients of the mean loss, computed without the trainer."""
    with tf.GradientTape() as tape:
        logits = model(preprocess.normalize(tf.constant(IMAGES), CONFIG.model))
        mean = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True)
        )
    return [g.numpy() for g in tape.gradient(mean, model.trainable_variables)]


def _change(history: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [after - before for before, after in zip(history[0], history[1], strict=True)]


def test_a_plain_step_follows_the_gradient_of_the_mean_loss() -> None:
    _, history = _steps(1)
    for change, gradient in zip(_change(history), _gradients(_state(CONFIG).model), strict=True):
        np.testing.assert_allclose(change, -0.5 * gradient, rtol=1e-4, atol=1e-6)


def test_clipping_keeps_the_direction_and_bounds_the_norm_over_all_weights() -> None:
    gradients = _gradients(_state(CONFIG).model)
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    assert norm > 0.1
    _, history = _steps(1, clip_norm=0.1)
    for change, gradient in zip(_change(history), gradients, strict=True):
        np.testing.assert_allclose(change, -0.5 * gradient * 0.1 / norm, rtol=1e-4, atol=1e-6)


def test_a_gradient_below_the_limit_is_not_clipped() -> None:
    np.testing.assert_allclose(
        np.concatenate([w.ravel() for w in _steps(3, clip_norm=1e6)[1][-1]]),
        np.concatenate([w.ravel() for w in _steps(3)[1][-1]]),
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.parametrize(
    'options', [{'accumulate': 4}, {'xla': True}, {'accumulate': 2, 'xla': True}]
)
def test_accumulation_and_xla_give_the_same_weights(options: dict[str, object]) -> None:
    for actual, expected in zip(_steps(4, **options)[1][-1], _steps(4)[1][-1], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_the_ema_follows_the_weights_with_its_decay() -> None:
    state, history = _steps(5, ema_decay=0.3)
    means = history[0]
    for step, weights in enumerate(history[1:]):
        # Steps count from 0.
        kept = min(0.3, (1 + step) / (10 + step))
        means = [kept * m + (1 - kept) * w for m, w in zip(means, weights, strict=True)]
    for actual, expected in zip(state.ema, means, strict=True):
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5, atol=1e-6)
    with ema.swapped_in(state.ema, state.model):
        np.testing.assert_array_equal(state.model.weights[0].numpy(), state.ema[0].numpy())
    np.testing.assert_array_equal(state.model.weights[0].numpy(), history[-1][0])


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_half_precision_trains_float32_weights(precision: str) -> None:
    state, history = _steps(25, precision=precision)
    assert {str(weight.dtype) for weight in state.model.weights} == {'float32'}
    if precision == 'bfloat16':
        for actual, expected in zip(history[1], _steps(1)[1][1], strict=True):
            np.testing.assert_allclose(actual, expected, atol=0.05)
    assert all(np.isfinite(weight).all() for weight in history[-1])
    assert not np.array_equal(history[0][0], history[-1][0])


def test_float16_skips_steps_until_its_scale_fits() -> None:
    state, history = _steps(25, precision='float16')  # starts with a scale that overflows
    np.testing.assert_array_equal(history[0][0], history[1][0])
    scale = float(state.optimizer.dynamic_scale.numpy())
    skipped = round(np.log2(2.0**30 / scale))
    assert 0 < skipped < 25
    assert int(state.optimizer.iterations.numpy()) == 25 - skipped
    assert not np.array_equal(history[skipped][0], history[-1][0])


_ONE_AND_TWO_DEVICES = """
import functools
import sys
import keras
import numpy as np
import tensorflow as tf
from catalog import categories
from trainer.config import (
    AugmentConfig, FusionConfig, InputConfig, LossConfig, ModelConfig, StepConfig, TrainConfig)
from trainer.data.data_set import DataInfo
from trainer.data.examples import batch_spec
from trainer.distribution import replica_batches
from trainer.distribution.strategy import build_strategy
from trainer.losses import objective
from trainer.models import batch_norm
from trainer.models.fusion import fuse_views
from trainer.optim import ema
from trainer.training.model_inputs import model_inputs
from trainer.training.state import State, Window
from trainer.training.step import compile_steps

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (8, 12, 12, 3)).astype(np.uint8)
images[4:] //= 4  # so that the two devices' statistics differ
labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])

def make_config(devices, fusion='none', **step):
    return TrainConfig(
        batch_size=8, total_steps=9, input=InputConfig(height=12, width=12), device='cpu',
        model=ModelConfig(fusion=FusionConfig(name=fusion, max_views=2)),
        augment=AugmentConfig(flip=False), step=StepConfig(**step), num_devices=devices,
        strategy='mirrored')

def forever(batch, strategy, config):
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread can keep an iterator alive

    def make_parts(worker, num_workers, devices):
        examples = tf.data.Dataset.from_tensor_slices(batch)
        examples = examples.batch(8 // devices, drop_remainder=True)
        parts = examples.map(lambda part: {**part, 'position': tf.constant([0, 0, 8], tf.int64)})
        return parts.repeat().with_options(options)

    draw, spec = model_inputs(config).draw, batch_spec(config)
    return replica_batches.iterate(make_parts, strategy, draw=draw, spec=spec, first_step=0)

@functools.cache  # two strategies of the same devices would share collective keys
def strategy_of(devices):
    return build_strategy(make_config(devices))

goal = objective.build_objective(
    LossConfig(target_power=None), info=DataInfo('', 3, (1, 1, 1), (0.3, 0.3, 0.4)),
    tree=categories.parse(sys.argv[1].encode(), path='category_names.csv'))

def weights(*, norm, devices, **step):
    config, strategy = make_config(devices, **step), strategy_of(devices)
    keras.utils.set_random_seed(3)
    with strategy.scope():
        layers = [keras.Input([12, 12, 3]), keras.layers.Conv2D(4, 3, 2)]
        if norm:
            synchronized = step.get('synchronized_batch_norm', False)
            layers.append(batch_norm.training_norm(fused=True, synchronized=synchronized)())
        layers += [keras.layers.Flatten(), keras.layers.Dense(3)]
        model = keras.Sequential(layers)
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        optimizer.build(model.trainable_variables)
        means = ema.create_averages(model) if config.step.ema_decay else []
    batches = forever({'image': images, 'label': labels}, strategy, config)
    state = State(model, optimizer, Window(), means)
    take = compile_steps(state, strategy, config, objective=goal)
    take(tf.constant(4), batches)
    return np.concatenate([np.ravel(w.numpy()) for w in model.trainable_weights])

views = np.stack([images, images[::-1]], axis=1)
products = {'image': views, 'mask': np.array([[True, i % 3 > 0] for i in range(8)]),
            'label': labels, 'undecodable': np.zeros(8, np.int64)}

def weights_of_products(devices, **step):
    config, strategy = make_config(devices, 'gated', **step), strategy_of(devices)
    keras.utils.set_random_seed(3)
    with strategy.scope():
        image, mask = keras.Input([12, 12, 3]), keras.Input([None], dtype='bool')
        x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, 2)(image))
        logits = keras.layers.Dense(3)(fuse_views(x, mask, config.model.fusion))
        model = keras.Model([image, mask], logits)
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        optimizer.build(model.trainable_variables)
    batches = forever(products, strategy, config)
    state = State(model, optimizer, Window())
    take = compile_steps(state, strategy, config, objective=goal)
    take(tf.constant(4), batches)
    return np.concatenate([np.ravel(w.numpy()) for w in model.trainable_weights])

def assert_close(left, right):
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)

assert len(tf.config.list_physical_devices('CPU')) == 1
two = weights(norm=True, devices=2, synchronized_batch_norm=True)
assert_close(two, weights(norm=True, devices=1))
apart = weights(norm=True, devices=2)
assert np.abs(two - apart).max() > 1e-3
np.testing.assert_array_equal(weights(norm=True, devices=2, ema_decay=0.5), apart)
for step in ({'clip_norm': 0.1}, {'accumulate': 2}, {'xla': True}):
    assert_close(weights(norm=False, devices=2, **step), weights(norm=False, devices=1, **step))
for step in ({}, {'accumulate': 2}, {'xla': True}):
    assert_close(weights_of_products(2, **step), weights_of_products(1, **step))
"""


def test_two_devices_compute_the_weights_of_one_with_every_option() -> None:
    """Runs in its own process: the devices must be set before TensorFlow starts."""
    done = run_program(_ONE_AND_TWO_DEVICES, TREE.decode())
    assert done.returncode == 0, done.stderr
