"""Learning rates, against the formulas of the papers and the schedules of Keras."""

import math
from collections.abc import Sequence

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


def test_a_constant_schedule_is_constant() -> None:
    assert _factors(ScheduleConfig(), [0, 50, 10_000]) == [1, 1, 1]


def test_warmup_rises_linearly() -> None:
    config = ScheduleConfig(warmup_steps=4)
    assert _factors(config, [0, 1, 2, 3, 4, 5]) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_a_cosine_falls_from_the_end_of_the_warmup_to_the_last_step() -> None:
    config = ScheduleConfig(name='cosine', warmup_steps=20, end_factor=0.1)
    expected = [1, 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2, 0.55, 0.1, 0.1]
    assert _factors(config, [20, 40, 60, 100, 500]) == pytest.approx(expected)


def _keras(name: str) -> tuple[ScheduleConfig, keras.optimizers.schedules.LearningRateSchedule]:
    theirs = keras.optimizers.schedules
    match name:
        case 'cosine':
            return ScheduleConfig(name='cosine', end_factor=0.1), theirs.CosineDecay(1.0, 100, 0.1)
        case 'polynomial':
            config = ScheduleConfig(name='polynomial', end_factor=0.2, power=2.0)
            return config, theirs.PolynomialDecay(1.0, 100, 0.2, power=2.0)
        case 'exponential':
            config = ScheduleConfig(name='exponential', decay_factor=0.5, decay_steps=10)
            return config, theirs.ExponentialDecay(1.0, 10, 0.5)
        case 'staircase':
            config = ScheduleConfig(
                name='exponential', decay_factor=0.5, decay_steps=10, staircase=True
            )
            return config, theirs.ExponentialDecay(1.0, 10, 0.5, staircase=True)
        case _:
            # At the boundary itself Keras keeps the old rate: it drops one step later.
            config = ScheduleConfig(name='piecewise', boundaries=(10, 20, 100))
            return config, theirs.PiecewiseConstantDecay([9, 19, 99], [1.0, 0.2, 0.04, 0.008])


@pytest.mark.parametrize('name', ['cosine', 'polynomial', 'exponential', 'staircase', 'piecewise'])
def test_learning_rates_equal_those_of_keras(name: str) -> None:
    config, expected = _keras(name)
    assert _factors(config, STEPS) == pytest.approx([float(expected(s)) for s in STEPS], rel=1e-5)


def test_piecewise_divides_by_five_at_each_boundary() -> None:
    config = ScheduleConfig(name='piecewise', boundaries=(30, 60))
    assert _factors(config, [29, 30, 59, 60]) == pytest.approx([1, 0.2, 0.2, 0.04])


@pytest.mark.parametrize('cycle', ['triangular', 'triangular2', 'exp_range'])
def test_a_cycle_equals_the_listing_of_smith(cycle: str) -> None:
    """In numpy: the listing in the first version of the paper and in its author's Torch code."""
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


def test_a_triangular2_cycle_rises_falls_and_halves() -> None:
    config = ScheduleConfig(name='cyclical', cycle='triangular2', cycle_steps=40)
    assert _factors(config, [0, 10, 20, 30, 40, 60, 80]) == pytest.approx(
        [0, 0.5, 1, 0.5, 0, 0.5, 0]
    )


@pytest.mark.parametrize(
    'fields', [{'name': 'piecewise'}, {'boundaries': (3,)}, {'boundaries': (5, 5)}]
)
def test_boundaries_must_rise_and_are_for_piecewise_only(fields: dict) -> None:
    with pytest.raises(ValueError, match=r'schedule\.boundaries must'):
        ScheduleConfig(**fields)


def test_a_plateau_schedule_without_its_factor_is_rejected() -> None:
    config = OptimizerConfig(schedule=ScheduleConfig(name='plateau'))
    with pytest.raises(ValueError, match='drop must be given for'):
        schedules.LearningRate(config, total_steps=10)


def test_a_group_has_its_own_rate_and_start() -> None:
    config = OptimizerConfig(learning_rate=0.5)
    group = GroupConfig(pattern='x', rate=0.1, from_step=3)
    rate = schedules.LearningRate(config, total_steps=10, group=group)
    assert [float(rate(tf.constant(s))) for s in (0, 2, 3, 9)] == pytest.approx([0, 0, 0.05, 0.05])
