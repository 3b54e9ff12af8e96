"""The state of a run: all that a step changes, and whether it may be saved."""

import math
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from catalog.errors import UserError
from trainer.config.loop import ValidationConfig
from trainer.metrics.classification import Metrics
from trainer.models import heads
from trainer.optim.plateau import Plateau
from trainer.training.distillation import Teacher


class NotFinite(UserError):
    """A loss or weights that are infinite or not a number."""


class Best(tf.Module):  # type: ignore[misc]
    """The best evaluation so far; part of the checkpoint.

    Attributes:
      value: of the metric, float64 [].
      step: after which it was measured, int64 []; 0 before the first.
      waited: evaluations since, int64 [].
    """

    def __init__(self) -> None:
        super().__init__()
        self.value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.waited = tf.Variable(0, dtype=tf.int64, trainable=False)

    def observe(self, metrics: Metrics, config: ValidationConfig, *, step: int) -> bool:
        """Takes in an evaluation; whether it is the best."""
        value, best = float(getattr(metrics, config.metric)), float(self.value.numpy())
        gain = best - value if config.metric == 'loss' else value - best
        better = not int(self.step.numpy()) or gain > 0
        self.waited.assign(0 if better else self.waited + 1)
        if better:
            self.value.assign(value)
            self.step.assign(step)
        return better

    def is_over(self, config: ValidationConfig) -> bool:
        """Whether the run should end early."""
        return bool(config.patience) and int(self.waited.numpy()) >= config.patience


class Window(tf.Module):  # type: ignore[misc]
    """Sums over the steps since the last logged one; part of the checkpoint.

    Attributes:
      steps: int64 [].
      loss: the sum of the mean losses, float64 [].
      correct: examples whose class had the highest logit, int64 [].
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.loss = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.correct = tf.Variable(0, dtype=tf.int64, trainable=False)

    def take(self, *, batch_size: int) -> dict[str, float]:
        """The means, `loss` and `accuracy`; the window starts anew."""
        steps = int(self.steps.numpy())
        means = {
            'loss': float(self.loss.numpy()) / steps,
            'accuracy': int(self.correct.numpy()) / (steps * batch_size),
        }
        for sums in (self.steps, self.loss, self.correct):
            sums.assign(tf.zeros_like(sums))
        return means


@dataclass(frozen=True)
class State:
    """All that a step changes.

    Attributes:
      model: with its weights: what is evaluated and exported.
      optimizer: its `iterations` counts the steps.
      iterator: of the batches.
      window: of the metrics.
      means: of the weights, empty where they are not averaged.
      best: evaluation so far.
      plateau: of the learning rate, where it follows the evaluations.
      branched: the model with heads beside its last layer, where it learns with such.
      teacher: that the model learns from; not in the checkpoint.
      input_seconds: that the steps of this process have waited for batches, float64 []; a clock's,
        so not in the checkpoint.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    iterator: Any
    window: Window
    means: list[tf.Variable] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    plateau: Plateau | None = None
    branched: keras.Model | None = None
    teacher: Teacher | None = None
    input_seconds: tf.Variable = field(
        default_factory=lambda: tf.Variable(0.0, dtype=tf.float64, trainable=False)
    )

    def checkpoint(self) -> tf.train.Checkpoint:
        """Everything that must come back for the next step to be the same, bit for bit."""
        return tf.train.Checkpoint(**self._shared(), iterator=self.iterator)

    def shared_checkpoint(self) -> tf.train.Checkpoint:
        """The same without the iterator: what is one for all workers."""
        return tf.train.Checkpoint(**self._shared())

    def _shared(self) -> dict[str, Any]:
        # Keras calls them variables but not weights, and tf.train.Checkpoint does not find them.
        seeds = [v for v in self.model.variables if all(v is not w for w in self.model.weights)]
        return {
            'model': self.model,
            'heads': heads.level_head_layers(self.network),
            'optimizer': self.optimizer,
            'means': self.means,
            'window': self.window,
            'best': self.best,
            **({'plateau': self.plateau} if self.plateau else {}),
            # Or a checkpoint lacks the scale of the loss: Keras does not track it.
            'optimizer_variables': [variable.value for variable in self.optimizer.variables],
            'seeds': [seed.value for seed in seeds],
        }

    @property
    def network(self) -> keras.Model:
        """What is trained: the model, or the same with heads beside its last layer."""
        return self.branched or self.model

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.optimizer.iterations.numpy())

    def is_finite(self) -> bool:
        """Whether no weight and no state of the optimizer is infinite or not a number."""
        return all(
            bool(tf.reduce_all(tf.math.is_finite(variable.value)))
            for variable in [*self.network.weights, *self.optimizer.variables]
            if variable.dtype.startswith('float')
        )


def check_loss(window: Window, *, done: int) -> None:
    """Checks that the loss is finite.

    Raises:
      NotFinite: if it is not.
    """
    loss = float(window.loss.numpy())
    if not math.isfinite(loss):
        raise NotFinite(
            f'the loss must be finite, got {loss} by step {done}; '
            'the last checkpoint is from before: lower optimizer.learning_rate or warm up longer'
        )


def check_weights(state: State, *, done: int) -> None:
    """Checks that what is about to be saved is finite.

    Raises:
      NotFinite: if it is not.
    """
    if not state.is_finite():
        raise NotFinite(
            f'the weights must be finite, some are not after step {done}, which is not saved; '
            'the last checkpoint is from before: lower optimizer.learning_rate or warm up longer'
        )
