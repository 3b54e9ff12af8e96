"""Drops the learning rate when evaluations stop improving, as Keras's ReduceLROnPlateau does.

`observe` is the rule, on values. `Plateau` keeps the values in variables, so that they are part of
the checkpoint and the compiled step reads the factor.
"""

from dataclasses import dataclass
from typing import Self

import tensorflow as tf

from trainer.config.optimizer import ScheduleConfig


@dataclass(frozen=True)
class PlateauState:
    """The state of the rule after some evaluations.

    Attributes:
      best: Best value of the metric; None before the first evaluation.
      waited: Evaluations without an improvement.
      cooling: Evaluations left that do not count.
      factor: Factor of the learning rate.
    """

    best: float | None = None
    waited: int = 0
    cooling: int = 0
    factor: float = 1.0


def observe(before: PlateauState, value: float, config: ScheduleConfig) -> PlateauState:
    """Returns the state after one more evaluation."""
    cooling = max(before.cooling - 1, 0)
    waited = 0 if before.cooling else before.waited
    if _is_better(value, before.best, config):
        return PlateauState(value, 0, cooling, before.factor)
    waited += cooling == 0
    if waited < config.patience or before.factor <= config.end_factor:
        return PlateauState(before.best, waited, cooling, before.factor)
    factor = max(before.factor * config.drop_factor, config.end_factor)
    return PlateauState(before.best, 0, config.cooldown, factor)


def _is_better(value: float, best: float | None, config: ScheduleConfig) -> bool:
    if best is None:
        return True
    gain = best - value if config.effective_plateau_goal == 'min' else value - best
    return gain > config.min_delta


class Plateau(tf.Module):  # type: ignore[misc]
    """A `PlateauState` in variables; create it in the strategy's scope, save it in the checkpoint.

    Attributes:
      factor: Factor of the learning rate, float32 []; the `drop` of `LearningRate`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(1.0, trainable=False, dtype=tf.float32)
        self._evaluations = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._best = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._waited = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._cooling = tf.Variable(0, trainable=False, dtype=tf.int64)

    def observe(self, value: float, config: ScheduleConfig) -> Self:
        """Updates the state with the value of `config.plateau_metric` of an evaluation."""
        after = observe(self.state, value, config)
        self._evaluations.assign_add(1)
        self._best.assign(after.best)
        self._waited.assign(after.waited)
        self._cooling.assign(after.cooling)
        self.factor.assign(after.factor)
        return self

    @property
    def state(self) -> PlateauState:
        """The values of the variables."""
        return PlateauState(
            best=float(self._best.numpy()) if int(self._evaluations.numpy()) else None,
            waited=int(self._waited.numpy()),
            cooling=int(self._cooling.numpy()),
            factor=float(self.factor.numpy()),
        )
