"""The learning rate by step. Knows neither optimizer nor loop. Drops by evaluations: `plateau`."""

import math
from typing import Any

import keras
import tensorflow as tf

from trainer.config.optimizer import GroupConfig, OptimizerConfig, ScheduleConfig


def factor(step: tf.Tensor, config: ScheduleConfig, *, total_steps: int) -> tf.Tensor:
    """Returns the factor of the learning rate at a step, counted from 0: float32 []."""
    step = tf.cast(step, tf.float32)
    warmup = tf.minimum(1.0, (step + 1) / (config.warmup_steps + 1))
    return warmup * _decay(step, config, total_steps=total_steps)


def _decay(step: tf.Tensor, config: ScheduleConfig, *, total_steps: int) -> tf.Tensor:
    since = tf.maximum(step - config.warmup_steps, 0.0)
    progress = tf.minimum(since / max(total_steps - config.warmup_steps, 1), 1.0)
    match config.name:
        case 'constant' | 'plateau':
            return tf.ones([])
        case 'cosine':  # Loshchilov and Hutter, 2017, arXiv:1608.03983
            return _between(config.end_factor, 0.5 * (1 + tf.cos(math.pi * progress)))
        case 'polynomial':
            return _between(config.end_factor, (1 - progress) ** config.power)
        case 'exponential':
            decays = since / config.decay_steps
            decays = tf.floor(decays) if config.staircase else decays
            return tf.constant(config.decay_factor) ** decays
        case 'piecewise':
            passed = tf.reduce_sum(
                tf.cast(step >= tf.constant(config.boundaries, tf.float32), tf.float32)
            )
            return tf.constant(config.drop_factor) ** passed
        case 'cyclical':
            return _between(config.end_factor, _cycle(since, config))
        case name:
            raise ValueError(f'schedule.name must be a name in ScheduleConfig, got {name!r}')


def _between(low: float, position: tf.Tensor) -> tf.Tensor:
    return low + (1 - low) * position


def _cycle(step: tf.Tensor, config: ScheduleConfig) -> tf.Tensor:
    """Returns the position between the bounds of a cycle, 0 to 1.

    Smith, 2017, arXiv:1506.01186.
    """
    half = config.cycle_steps / 2
    cycle = tf.floor(1 + step / (2 * half))
    height = tf.maximum(0.0, 1 - tf.abs(step / half - 2 * cycle + 1))
    match config.cycle:
        case 'triangular':
            return height
        case 'triangular2':
            return height / 2 ** (cycle - 1)
        case 'exp_range':
            return height * tf.constant(config.cycle_decay) ** step
        case name:
            raise ValueError(f'schedule.cycle must be a name in ScheduleConfig, got {name!r}')


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The learning rate of a config, as a Keras schedule."""

    def __init__(
        self,
        config: OptimizerConfig,
        *,
        total_steps: int,
        drop: tf.Variable | None = None,
        group: GroupConfig | None = None,
    ) -> None:
        """Combines a schedule with the factors of a plateau and of a parameter group.

        Args:
          config: The `optimizer` part of the run's config.
          total_steps: Steps of the run.
          drop: `Plateau.factor` if the schedule is `plateau`, else None.
          group: A parameter group; None for the weights outside of all groups.
        """
        if (config.schedule.name == 'plateau') != (drop is not None):
            raise ValueError('drop must be given for schedule.name plateau, and only for it')
        self._config = config
        self._total_steps = total_steps
        self._drop = drop
        self._group = group

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate at a step, counted from 0: float32 []."""
        scale = factor(step, self._config.schedule, total_steps=self._total_steps)
        if self._drop is not None:
            scale *= self._drop
        if self._group is not None:
            started = tf.cast(tf.cast(step, tf.int64) >= self._group.from_step, tf.float32)
            scale *= started * self._group.rate
        return self._config.learning_rate * scale

    def get_config(self) -> dict[str, Any]:
        """Returns no fields: the config of a run is in config.json."""
        return {}
