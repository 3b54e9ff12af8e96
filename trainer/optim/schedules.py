"""The learning rate by step. Knows neither optimizer nor loop. Reduce on plateau: `plateau`.

Drops the learning rate where an evaluation no longer gets better, as Keras's callback does.

`observe` is the rule, on values; `Plateau` keeps them in variables, so that they are part of a
checkpoint and the compiled step reads the factor.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import keras
import tensorflow as tf

from trainer.config.optimizer import GroupConfig, OptimizerConfig, ScheduleConfig


def factor(step: tf.Tensor, config: ScheduleConfig, *, total_steps: int) -> tf.Tensor:
    """The share of the full learning rate that step number `step`, from 0, takes: float32 []."""
    step = tf.cast(step, tf.float32)
    warmup = tf.minimum(1.0, (step + 1) / (config.warmup_steps + 1))
    return warmup * _decay(step, config, total_steps=total_steps)


def _decay(step: tf.Tensor, config: ScheduleConfig, *, total_steps: int) -> tf.Tensor:
    since = tf.maximum(step - config.warmup_steps, 0.0)
    done = tf.minimum(since / max(total_steps - config.warmup_steps, 1), 1.0)  # of 1
    match config.name:
        case 'constant' | 'plateau':
            return tf.ones([])
        case 'cosine':  # Loshchilov and Hutter, 2017, arXiv:1608.03983
            return _between(config.end_factor, 0.5 * (1 + tf.cos(math.pi * done)))
        case 'polynomial':
            return _between(config.end_factor, (1 - done) ** config.power)
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
            raise ValueError(f'schedule.name must be one of those in ScheduleConfig, got {name!r}')


def _between(low: float, share: tf.Tensor) -> tf.Tensor:
    return low + (1 - low) * share


def _cycle(step: tf.Tensor, config: ScheduleConfig) -> tf.Tensor:
    """The height in a cycle, 0 to 1 (Smith, 2017, arXiv:1506.01186)."""
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
            raise ValueError(f'schedule.cycle must be one of those in ScheduleConfig, got {name!r}')


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`factor` in the form that Keras's optimizers ask for."""

    def __init__(
        self,
        config: OptimizerConfig,
        *,
        total_steps: int,
        drop: tf.Variable | None = None,
        group: GroupConfig | None = None,
    ) -> None:
        """Takes `drop`, `Plateau.factor`, where the schedule is `plateau`; a group of weights."""
        if (config.schedule.name == 'plateau') != (drop is not None):
            raise ValueError('drop must be given for schedule.name plateau, and for it alone')
        self._config = config
        self._total_steps = total_steps
        self._drop = drop
        self._group = group

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate of step number `step`, from 0: float32 []."""
        share = factor(step, self._config.schedule, total_steps=self._total_steps)
        if self._drop is not None:
            share *= self._drop
        if self._group is not None:
            begun = tf.cast(tf.cast(step, tf.int64) >= self._group.from_step, tf.float32)
            share *= begun * self._group.rate
        return self._config.learning_rate * share

    def get_config(self) -> dict[str, Any]:
        """Nothing: a run's config is in config.json."""
        return {}


@dataclass(frozen=True)
class Progress:
    """What the evaluations so far amount to.

    Attributes:
      best: value of the metric; None before the first.
      waited: evaluations without a gain.
      cooling: evaluations that will not count.
      factor: of the learning rate.
    """

    best: float | None = None
    waited: int = 0
    cooling: int = 0
    factor: float = 1.0


def observe(before: Progress, value: float, config: ScheduleConfig) -> Progress:
    """The progress after one more evaluation."""
    cooling = max(before.cooling - 1, 0)
    waited = 0 if before.cooling else before.waited
    if _is_better(value, before.best, config):
        return Progress(value, 0, cooling, before.factor)
    waited += cooling == 0
    if waited < config.patience or before.factor <= config.end_factor:
        return Progress(before.best, waited, cooling, before.factor)
    factor = max(before.factor * config.drop_factor, config.end_factor)
    return Progress(before.best, 0, config.cooldown, factor)


def _is_better(value: float, best: float | None, config: ScheduleConfig) -> bool:
    if best is None:
        return True
    gain = best - value if config.plateau_goal == 'min' else value - best
    return gain > config.min_delta


class Plateau(tf.Module):  # type: ignore[misc]
    """A `Progress` in variables; make it in the strategy's scope and put it in the checkpoint.

    Attributes:
      factor: of the learning rate, float32 []: for `LearningRate(drop=...)`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(1.0, trainable=False, dtype=tf.float32)
        self._evaluations = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._best = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._waited = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._cooling = tf.Variable(0, trainable=False, dtype=tf.int64)

    def observe(self, value: float, config: ScheduleConfig) -> Self:
        """Takes in an evaluation's value of `config.plateau_metric`."""
        after = observe(self.progress, value, config)
        self._evaluations.assign_add(1)
        self._best.assign(after.best)
        self._waited.assign(after.waited)
        self._cooling.assign(after.cooling)
        self.factor.assign(after.factor)
        return self

    @property
    def progress(self) -> Progress:
        """What the evaluations so far amount to."""
        return Progress(
            best=float(self._best.numpy()) if int(self._evaluations.numpy()) else None,
            waited=int(self._waited.numpy()),
            cooling=int(self._cooling.numpy()),
            factor=float(self.factor.numpy()),
        )
