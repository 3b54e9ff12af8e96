"""Drops of the learning rate, against Keras's ReduceLROnPlateau."""

import dataclasses
from pathlib import Path
from typing import get_args

import keras
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import OptimizerConfig, ScheduleConfig, files
from trainer.config.optimizer import PlateauMetric
from trainer.metrics.classification import Metrics
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


def test_the_goal_follows_from_the_metric() -> None:
    config = ScheduleConfig(name='plateau', plateau_metric='accuracy', patience=1)
    improving = Plateau().observe(0.5, config).observe(0.6, config)
    assert improving.state == PlateauState(best=0.6)
    falling = improving.observe(0.4, config)
    assert falling.state.factor == pytest.approx(0.2)


def test_every_metric_of_an_evaluation_has_a_goal() -> None:
    metrics = [field.name for field in dataclasses.fields(Metrics) if field.name != 'examples']
    assert sorted(get_args(PlateauMetric)) == sorted(metrics)
    for metric in metrics:
        goal = 'min' if metric == 'loss' else 'max'
        assert ScheduleConfig(plateau_metric=metric).effective_plateau_goal == goal
        for given in ('min', 'max'):
            config = ScheduleConfig(plateau_metric=metric, plateau_goal=given)
            assert config.effective_plateau_goal == given


def test_an_unknown_metric_is_rejected_with_the_valid_ones() -> None:
    flag = 'optimizer.schedule.plateau_metric=acuracy'
    with pytest.raises(UserError, match=r"plateau_metric must be 'accuracy', .*, got 'acuracy'"):
        files.load(str(Path(__file__).parents[3] / 'configs' / 'tiny.py'), [flag])


def test_a_metric_on_the_command_line_brings_its_goal() -> None:
    flags = ['optimizer.schedule.name=plateau', 'optimizer.schedule.plateau_metric=macro_f1']
    flags.append('validation.every_steps=100')
    config = files.load(str(Path(__file__).parents[3] / 'configs' / 'tiny.py'), flags)
    assert config.optimizer.schedule.effective_plateau_goal == 'max'
