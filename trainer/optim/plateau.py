"""Drops the learning rate where an evaluation no longer gets better, as Keras's callback does.

`observe` is the rule, on values; `Plateau` keeps them in variables, so that they are part of a
checkpoint and the compiled step reads the factor.
"""

from dataclasses import dataclass
from typing import Self

import tensorflow as tf

from trainer.config.optimizer import ScheduleConfig


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
