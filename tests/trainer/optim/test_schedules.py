"""Learning rates, against the papers' formulas and Keras's own schedules."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import GroupConfig, OptimizerConfig, ScheduleConfig
from trainer.optim import schedules

STEPS = [0, 1, 7, 10, 19, 20, 33, 50, 99, 100, 101, 500]


def _factors(
    config: ScheduleConfig, steps: Sequence[int], *, total_steps: int = 100
) -> list[float]:
    return [
        float(schedules.factor(tf.constant(step), config, total_steps=total_steps))
        for step in steps
    ]


def test_a_constant_rate_is_constant() -> None:
    assert _factors(ScheduleConfig(), [0, 50, 10_000]) == [1, 1, 1]


def test_a_warm_up_rises_in_equal_steps() -> None:
    config = ScheduleConfig(warmup_steps=4)
    assert _factors(config, [0, 1, 2, 3, 4, 5]) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_a_cosine_falls_from_the_end_of_the_warm_up_to_its_end() -> None:
    config = ScheduleConfig(name='cosine', warmup_steps=20, end_factor=0.1)
    expected = [1, 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2, 0.55, 0.1, 0.1]
    assert _factors(config, [20, 40, 60, 100, 500]) == pytest.approx(expected)


def _keras(name: str) -> tuple[ScheduleConfig, keras.optimizers.schedules.LearningRateSchedule]:
    known = keras.optimizers.schedules
    match name:
        case 'cosine':
            return ScheduleConfig(name='cosine', end_factor=0.1), known.CosineDecay(1.0, 100, 0.1)
        case 'polynomial':
            config = ScheduleConfig(name='polynomial', end_factor=0.2, power=2.0)
            return config, known.PolynomialDecay(1.0, 100, 0.2, power=2.0)
        case 'exponential':
            config = ScheduleConfig(name='exponential', decay_factor=0.5, decay_steps=10)
            return config, known.ExponentialDecay(1.0, 10, 0.5)
        case 'staircase':
            config = ScheduleConfig(
                name='exponential', decay_factor=0.5, decay_steps=10, staircase=True
            )
            return config, known.ExponentialDecay(1.0, 10, 0.5, staircase=True)
        case _:
            # Keras keeps the old rate at the boundary itself: one step later than we count.
            config = ScheduleConfig(name='piecewise', boundaries=(10, 20, 100))
            return config, known.PiecewiseConstantDecay([9, 19, 99], [1.0, 0.2, 0.04, 0.008])


@pytest.mark.parametrize('name', ['cosine', 'polynomial', 'exponential', 'staircase', 'piecewise'])
def test_the_rates_are_those_of_keras(name: str) -> None:
    config, expected = _keras(name)
    assert _factors(config, STEPS) == pytest.approx([float(expected(s)) for s in STEPS], rel=1e-5)


def test_piecewise_divides_by_five_at_each_boundary() -> None:
    config = ScheduleConfig(name='piecewise', boundaries=(30, 60))
    assert _factors(config, [29, 30, 59, 60]) == pytest.approx([1, 0.2, 0.2, 0.04])


@pytest.mark.parametrize('cycle', ['triangular', 'triangular2', 'exp_range'])
def test_a_cycle_follows_smiths_listing(cycle: str) -> None:
    """The listing of the paper's first version and of its author's Torch code, in numpy."""
    config = ScheduleConfig(
        name='cyclical', cycle=cycle, cycle_steps=40, cycle_decay=0.99, end_factor=0.25
    )
    half, low, high = 20, 0.25, 1.0
    steps = np.arange(0, 205, 5)
    number = np.floor(1 + steps / (2 * half))
    x = np.abs(steps / half - 2 * number + 1)
    scale = {'triangular': 1.0, 'triangular2': 0.5 ** (number - 1), 'exp_range': 0.99**steps}
    expected = low + (high - low) * np.maximum(0, 1 - x) * scale[cycle]
    assert _factors(config, steps.tolist()) == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_cycle_goes_up_and_down_and_halves() -> None:
    config = ScheduleConfig(name='cyclical', cycle='triangular2', cycle_steps=40)
    assert _factors(config, [0, 10, 20, 30, 40, 60, 80]) == pytest.approx(
        [0, 0.5, 1, 0.5, 0, 0.5, 0]
    )


@pytest.mark.parametrize(
    'fields', [{'name': 'piecewise'}, {'boundaries': (3,)}, {'boundaries': (5, 5)}]
)
def test_boundaries_must_rise_and_belong_to_piecewise(fields: dict) -> None:
    with pytest.raises(ValueError, match=r'schedule\.boundaries must'):
        ScheduleConfig(**fields)


LOSSES = [3.0, 2.0, 2.1, 2.0, 1.9999, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 1.4, 1.41, 1.42, 1.43, 1.44]


@pytest.mark.parametrize('goal', ['min', 'max'])
@pytest.mark.parametrize('cooldown', [0, 1, 2, 3])
@pytest.mark.parametrize('patience', [1, 2, 3])
def test_a_plateau_drops_where_keras_drops(goal: str, cooldown: int, patience: int) -> None:
    config = ScheduleConfig(
        name='plateau',
        plateau_goal=goal,
        patience=patience,
        cooldown=cooldown,
        drop_factor=0.5,
        end_factor=0.1,
        min_delta=0.001,
    )
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0))
    callback = keras.callbacks.ReduceLROnPlateau(
        'value', 0.5, patience, mode=goal, min_delta=0.001, cooldown=cooldown, min_lr=0.1
    )
    callback.set_model(model)
    callback.on_train_begin()
    progress, found, expected = schedules.Progress(), [], []
    for i, loss in enumerate(LOSSES * 2):
        value = loss if goal == 'min' else -loss
        callback.on_epoch_end(i, {'value': value})
        expected.append(float(model.optimizer.learning_rate))
        progress = schedules.observe(progress, value, config)
        found.append(progress.factor)
    assert found == pytest.approx(expected)
    assert found[-1] < 1


def test_a_plateau_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    config = ScheduleConfig(name='plateau', patience=2, cooldown=1)
    whole, first = schedules.Plateau(), schedules.Plateau()
    for loss in LOSSES[:8]:
        first.observe(loss, config)
    path = tf.train.Checkpoint(plateau=first).write(str(tmp_path / 'plateau'))
    second = schedules.Plateau()
    tf.train.Checkpoint(plateau=second).read(path).assert_consumed()
    for loss in LOSSES:
        whole.observe(loss, config)
    for loss in LOSSES[8:]:
        second.observe(loss, config)
    assert second.progress == whole.progress
    assert second.progress.factor < 1


def test_a_compiled_step_sees_the_drop() -> None:
    config = OptimizerConfig(learning_rate=2.0, schedule=ScheduleConfig(name='plateau', patience=1))
    state = schedules.Plateau()
    rate = schedules.LearningRate(config, total_steps=10, drop=state.factor)
    compiled = tf.function(lambda: rate(tf.constant(0)))
    assert float(compiled()) == pytest.approx(2.0)
    state.observe(1.0, config.schedule).observe(1.0, config.schedule)
    assert float(compiled()) == pytest.approx(0.4)


def test_a_plateau_without_evaluations_is_refused() -> None:
    config = OptimizerConfig(schedule=ScheduleConfig(name='plateau'))
    with pytest.raises(ValueError, match='drop must be given for'):
        schedules.LearningRate(config, total_steps=10)


def test_a_group_has_a_pace_and_a_beginning_of_its_own() -> None:
    config = OptimizerConfig(learning_rate=0.5)
    group = GroupConfig(pattern='x', rate=0.1, from_step=3)
    rate = schedules.LearningRate(config, total_steps=10, group=group)
    assert [float(rate(tf.constant(s))) for s in (0, 2, 3, 9)] == pytest.approx([0, 0, 0.05, 0.05])
