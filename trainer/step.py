"""The steps of a run on the device: one compiled call takes several. Knows no disk, no clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import loss, preprocess
from trainer.config import TrainConfig

Batch = dict[str, tf.Tensor]


class Window(tf.Module):  # type: ignore[misc]
    """Sums over the steps since the last logged one; part of the checkpoint.

    Attributes:
      steps: int64 [].
      loss: the sum of the mean losses, float64 [].
      correct: pictures whose class had the highest logit, int64 [].
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
      model: with its weights.
      optimizer: its `iterations` counts the steps.
      iterator: of the batches.
      window: of the metrics.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    iterator: Any
    window: Window

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
            'optimizer': self.optimizer,
            'window': self.window,
            'seeds': [seed.value for seed in seeds],
        }

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.optimizer.iterations.numpy())

    def is_finite(self) -> bool:
        """Whether no weight and no state of the optimizer is infinite or not a number."""
        return all(
            bool(tf.reduce_all(tf.math.is_finite(variable.value)))
            for variable in [*self.model.weights, *self.optimizer.variables]
            if variable.dtype.startswith('float')
        )


def _part(number: tf.Tensor, size: int) -> slice:
    return slice(number * size, (number + 1) * size)


def compile_steps(
    state: State,
    strategy: tf.distribute.Strategy,
    config: TrainConfig,
    *,
    shift: npt.NDArray[np.float32],
    num_workers: int = 1,
) -> Callable[[tf.Tensor], None]:
    """A function of a number of steps, int32 [], that takes them.

    Args:
      state: what the steps change.
      strategy: each replica takes its part of the batch; gradients are summed over all.
      config: of the run.
      shift: what the loss adds to the logits [C].
      num_workers: processes of the run; each iterator holds one's part of the batch.
    """
    model, optimizer = state.model, state.optimizer
    replica_batch = config.batch_size // strategy.num_replicas_in_sync
    local_replicas = strategy.num_replicas_in_sync // num_workers

    def on_replica(batch: Batch, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with tf.device('cpu:0'):  # so that no replica is sent more than its part
            mine = _part(replica % local_replicas, replica_batch)  # of this worker's batch
            images, labels = batch['image'][mine], batch['label'][mine]
            draws = draws[_part(replica, replica_batch)]  # of the whole batch's
        images = preprocess.augment(images, draws, config.augment)
        images = preprocess.normalize(images, config.model)
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = loss.cross_entropy(
                logits, labels, shift=shift, label_smoothing=config.loss.label_smoothing
            )
            share = tf.reduce_sum(losses) / config.batch_size  # the parts add up to the mean
        gradients = tape.gradient(share, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        hits = tf.argmax(logits + shift, axis=-1) == labels
        return share, tf.reduce_sum(tf.cast(hits, tf.int64))

    def one_step(done: tf.Tensor) -> list[tf.Tensor]:
        step = tf.cast(optimizer.iterations.value, tf.int64)
        seed = tf.stack([tf.constant(config.seed, tf.int64), step])
        draws = preprocess.draw(config.batch_size, seed=seed)
        shares, hits = strategy.run(on_replica, args=(next(state.iterator), draws))
        mean_loss = strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
        correct = strategy.reduce(tf.distribute.ReduceOp.SUM, hits, axis=None)
        state.window.steps.assign_add(1)
        state.window.loss.assign_add(tf.cast(mean_loss, tf.float64))
        state.window.correct.assign_add(correct)
        return [done + 1]

    def take(count: tf.Tensor) -> None:
        tf.while_loop(lambda done: done < count, one_step, [tf.constant(0)])

    compiled: Callable[[tf.Tensor], None] = tf.function(take, autograph=False)
    return compiled
