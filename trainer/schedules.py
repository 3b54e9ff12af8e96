"""The learning rate by step. Pure: knows neither optimizer nor loop."""

import math
from typing import Any

import keras
import tensorflow as tf

from trainer.config import OptimizerConfig, ScheduleConfig


def factor(step: tf.Tensor, config: ScheduleConfig, *, total_steps: int) -> tf.Tensor:
    """The share of the full learning rate that step number `step`, from 0, takes: float32 []."""
    step = tf.cast(step, tf.float32)
    warmup = tf.minimum(1.0, (step + 1) / (config.warmup_steps + 1))
    return warmup * _decay(step, config, total_steps=total_steps)


def _decay(step: tf.Tensor, config: ScheduleConfig, *, total_steps: int) -> tf.Tensor:
    match config.name:
        case 'constant':
            return tf.ones([])
        case 'cosine':  # Loshchilov and Hutter, 2017, arXiv:1608.03983
            length = max(total_steps - config.warmup_steps, 1)
            done = tf.clip_by_value((step - config.warmup_steps) / length, 0.0, 1.0)
            wave = 0.5 * (1 + tf.cos(math.pi * done))
            return config.end_factor + (1 - config.end_factor) * wave
        case 'exponential':
            decays = tf.maximum(step - config.warmup_steps, 0.0) / config.decay_steps
            return tf.constant(config.decay_factor) ** decays
        case name:
            raise ValueError(f'schedule.name must be constant, cosine or exponential, got {name!r}')


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`factor` in the form that Keras's optimizers ask for."""

    def __init__(self, config: OptimizerConfig, *, total_steps: int) -> None:
        self._config = config
        self._total_steps = total_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate of step number `step`, from 0: float32 []."""
        share = factor(step, self._config.schedule, total_steps=self._total_steps)
        return self._config.learning_rate * share

    def get_config(self) -> dict[str, Any]:
        """Nothing: a run's config is in config.json."""
        return {}
