import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import schedules
from trainer.config import OptimizerConfig, ScheduleConfig
from trainer.optimizers import build_optimizer


def _factors(config: ScheduleConfig, steps: list[int], *, total_steps: int = 100) -> list[float]:
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


def test_an_exponential_rate_loses_its_share_every_interval() -> None:
    config = ScheduleConfig(name='exponential', decay_factor=0.5, decay_steps=10)
    assert _factors(config, [0, 10, 30]) == pytest.approx([1, 0.5, 0.125])


def _updates(config: OptimizerConfig, *, steps: int) -> list[float]:
    weight = keras.Variable(1.0)
    optimizer = build_optimizer(config, total_steps=10)
    seen = []
    for _ in range(steps):
        optimizer.apply([tf.constant(1.0)], [weight])
        seen.append(float(weight.numpy()))
    return seen


def test_sgd_moves_by_rate_and_momentum() -> None:
    config = OptimizerConfig(name='sgd', learning_rate=0.1, momentum=0.5)
    assert _updates(config, steps=3) == pytest.approx([0.9, 0.75, 0.575])


def test_the_first_update_of_adam_is_the_learning_rate() -> None:
    found = _updates(OptimizerConfig(name='adam', learning_rate=0.1), steps=1)
    assert found == pytest.approx([0.9], abs=1e-5)


def test_the_optimizer_follows_the_schedule() -> None:
    config = OptimizerConfig(
        name='sgd', learning_rate=1.0, momentum=0.0, schedule=ScheduleConfig(warmup_steps=3)
    )
    assert _updates(config, steps=4) == pytest.approx([0.75, 0.25, -0.5, -1.5])


def test_adamw_decays_kernels_but_not_biases_nor_normalisation() -> None:
    model = keras.Sequential(
        [keras.Input([4]), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    model.layers[0].bias.assign(np.ones(3))
    before = [weight.numpy() for weight in model.trainable_variables]
    config = OptimizerConfig(name='adamw', learning_rate=0.1, weight_decay=0.5)
    optimizer = build_optimizer(config, total_steps=10)
    optimizer.apply([tf.zeros(w.shape) for w in before], model.trainable_variables)
    after = [weight.numpy() for weight in model.trainable_variables]
    np.testing.assert_allclose(after[0], before[0] * 0.95, rtol=1e-5)
    for unchanged in (1, 2, 3):
        np.testing.assert_array_equal(after[unchanged], before[unchanged])
