"""The state of a run: all that a step changes, and whether it is fit to be saved.

The names of attributes and of `State.checkpoint` are part of the checkpoint format.
"""

import math
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import InputConfig
from trainer.config.loop import ValidationConfig
from trainer.data.batches import START
from trainer.distribution.machines import Machines
from trainer.metrics.classification import Metrics
from trainer.models import heads
from trainer.optim.plateau import Plateau
from trainer.training.distillation import Teacher


class NotFinite(UserError):
    """The loss or a weight is infinite or not a number."""


class Best(tf.Module):  # type: ignore[misc]
    """The best evaluation so far; part of the checkpoint.

    Attributes:
      value: Value of the metric, float64 [].
      step: Step after which it was measured, int64 []; 0 before the first.
      waited: Evaluations since then, int64 [].
    """

    def __init__(self) -> None:
        super().__init__()
        self.value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.waited = tf.Variable(0, dtype=tf.int64, trainable=False)

    def observe(self, metrics: Metrics, config: ValidationConfig, *, step: int) -> bool:
        """Adds an evaluation and returns whether it is the best."""
        value, best = float(getattr(metrics, config.metric)), float(self.value.numpy())
        gain = best - value if config.metric == 'loss' else value - best
        better = not int(self.step.numpy()) or gain > 0
        self.waited.assign(0 if better else self.waited + 1)
        if better:
            self.value.assign(value)
            self.step.assign(step)
        return better

    def is_over(self, config: ValidationConfig) -> bool:
        """Returns whether the run should stop early."""
        return bool(config.patience) and int(self.waited.numpy()) >= config.patience


class Window(tf.Module):  # type: ignore[misc]
    """Sums over the steps since the last logged one; part of the checkpoint.

    Attributes:
      steps: Number of steps, int64 [].
      loss: Sum of the mean losses, float64 [].
      correct: Examples whose class had the highest logit, int64 [].
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.loss = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.correct = tf.Variable(0, dtype=tf.int64, trainable=False)

    def reset(self, *, batch_size: int) -> dict[str, float]:
        """Returns the means `loss` and `accuracy`, and resets the sums."""
        steps = int(self.steps.numpy())
        means = {
            'loss': float(self.loss.numpy()) / steps,
            'accuracy': int(self.correct.numpy()) / (steps * batch_size),
        }
        for sums in (self.steps, self.loss, self.correct):
            sums.assign(tf.zeros_like(sums))
        return means


class PictureCounts(tf.Module):  # type: ignore[misc]
    """The pictures of all steps so far; part of the checkpoint.

    Attributes:
      read: Pictures in the batches, int64 [].
      undecodable: Those of them that were passed over, int64 []; a picture counts each time that
        it is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.undecodable = tf.Variable(0, dtype=tf.int64, trainable=False)


@dataclass(frozen=True)
class State:
    """All that a step changes.

    Attributes:
      model: The model that is evaluated and exported.
      optimizer: The optimizer; its `iterations` counts the steps.
      window: Sums for the metrics.
      ema: Exponential moving averages of the weights; empty if the run keeps none.
      best: The best evaluation so far.
      plateau: State of the schedule `plateau`, if the run has it.
      model_with_heads: The model with auxiliary heads for the levels, if the run trains them.
      teacher: The teacher of distillation; not in the checkpoint.
      input_seconds: Time that the steps of this process waited for batches, float64 []; not in the
        checkpoint, since it depends on a clock.
      pictures: Numbers of pictures read and passed over.
      position: Where the input resumes after the last step: `position` of `data.batches`, int64
        [3] or [streams, 3].
      machines: What the run computes on, `Machines`, int64 [3].
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    window: Window
    ema: list[tf.Variable] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    plateau: Plateau | None = None
    model_with_heads: keras.Model | None = None
    teacher: Teacher | None = None
    input_seconds: tf.Variable = field(
        default_factory=lambda: tf.Variable(0.0, dtype=tf.float64, trainable=False)
    )
    pictures: PictureCounts = field(default_factory=PictureCounts)
    position: tf.Variable = field(
        default_factory=lambda: tf.Variable(START, dtype=tf.int64, trainable=False)
    )
    machines: tf.Variable = field(default_factory=Machines(1, 1, 1).variable)

    @property
    def positions(self) -> list[tuple[int, int, int]]:
        """The position of each stream."""
        return [
            (epoch, block, used) for epoch, block, used in np.atleast_2d(self.position).tolist()
        ]

    def checkpoint(self) -> tf.train.Checkpoint:
        """Returns everything that the next step depends on, bit for bit."""
        # Seed states are variables but not weights of Keras, and tf.train.Checkpoint lacks them.
        seeds = [v for v in self.model.variables if all(v is not w for w in self.model.weights)]
        return tf.train.Checkpoint(
            model=self.model,
            heads=heads.level_head_layers(self.network),
            means=self.ema,
            window=self.window,
            pictures=self.pictures,
            position=self.position,
            machines=self.machines,
            best=self.best,
            **({'plateau': self.plateau} if self.plateau else {}),
            # Not the optimizer: Keras does not track the scale of the loss, and would write the
            # moments twice.
            optimizer_variables=[variable.value for variable in self.optimizer.variables],
            seeds=[seed.value for seed in seeds],
        )

    @property
    def network(self) -> keras.Model:
        """The network that is trained: the model, or the model with auxiliary heads."""
        return self.model_with_heads or self.model

    @property
    def step(self) -> int:
        """The number of completed steps."""
        return int(self.optimizer.iterations.numpy())

    def is_finite(self) -> bool:
        """Returns whether all weights and the state of the optimizer are finite."""
        return all(
            bool(tf.reduce_all(tf.math.is_finite(variable.value)))
            for variable in [*self.network.weights, *self.optimizer.variables]
            if variable.dtype.startswith('float')
        )


def create_position(config: InputConfig, *, hosts: int) -> tf.Variable:
    """Returns `State.position` of a run that starts: a stream for each host if they read their own.

    A checkpoint of a run that began on another number of hosts can be read into it.
    """
    if config.reading == 'shared':
        return tf.Variable(START, dtype=tf.int64, trainable=False)
    return tf.Variable([START] * hosts, dtype=tf.int64, shape=[None, len(START)], trainable=False)


def check_loss(window: Window, *, step: int) -> None:
    """Checks that the loss is finite.

    Raises:
      NotFinite: If it is not.
    """
    loss = float(window.loss.numpy())
    if not math.isfinite(loss):
        raise NotFinite(
            f'the loss must be finite, got {loss} by step {step}; the last checkpoint is from an '
            'earlier step: lower optimizer.learning_rate or lengthen the warm-up'
        )


def check_weights(state: State, *, step: int) -> None:
    """Checks that the state to be saved is finite.

    Raises:
      NotFinite: If it is not.
    """
    if not state.is_finite():
        raise NotFinite(
            f'the weights must be finite, some are not after step {step}, which is not saved; the '
            'last checkpoint is from an earlier step: lower optimizer.learning_rate or lengthen '
            'the warm-up'
        )
