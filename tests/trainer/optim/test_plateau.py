"""Drops of the learning rate, against Keras's ReduceLROnPlateau."""

from pathlib import Path

import keras
import pytest
import tensorflow as tf

from trainer.config import OptimizerConfig, ScheduleConfig
from trainer.optim import plateau, schedules
from trainer.optim.plateau import Plateau, PlateauState

LOSSES = [3.0, 2.0, 2.1, 2.0, 1.9999, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 1.4, 1.41, 1.42, 1.43, 1.44]


@pytest.mark.parametrize('goal', ['min', 'max'])
@pytest.mark.parametrize('cooldown', [0, 1, 2, 3])
@pytest.mark.parametrize('patience', [1, 2, 3])
def test_a_plateau_drops_when_keras_drops(goal: str, cooldown: int, patience: int) -> None:
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
    state, found, expected = PlateauState(), [], []
    for i, loss in enumerate(LOSSES * 2):
        value = loss if goal == 'min' else -loss
        callback.on_epoch_end(i, {'value': value})
        expected.append(float(model.optimizer.learning_rate))
        state = plateau.observe(state, value, config)
        found.append(state.factor)
    assert found == pytest.approx(expected)
    assert found[-1] < 1


def test_a_plateau_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    config = ScheduleConfig(name='plateau', patience=2, cooldown=1)
    uninterrupted, first = Plateau(), Plateau()
    for loss in LOSSES[:8]:
        first.observe(loss, config)
    path = tf.train.Checkpoint(plateau=first).write(str(tmp_path / 'plateau'))
    second = Plateau()
    tf.train.Checkpoint(plateau=second).read(path).assert_consumed()
    for loss in LOSSES:
        uninterrupted.observe(loss, config)
    for loss in LOSSES[8:]:
        second.observe(loss, config)
    assert second.state == uninterrupted.state
    assert second.state.factor < 1


def test_a_compiled_step_reads_the_dropped_rate() -> None:
    config = OptimizerConfig(learning_rate=2.0, schedule=ScheduleConfig(name='plateau', patience=1))
    plateau_state = Plateau()
    rate = schedules.LearningRate(config, total_steps=10, drop=plateau_state.factor)
    compiled = tf.function(lambda: rate(tf.constant(0)))
    assert float(compiled()) == pytest.approx(2.0)
    plateau_state.observe(1.0, config.schedule).observe(1.0, config.schedule)
    assert float(compiled()) == pytest.approx(0.4)
