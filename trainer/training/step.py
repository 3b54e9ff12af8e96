"""The steps of a run on the device: one compiled call takes several. Knows no disk, no clock."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.losses.objective import Objective
from trainer.optim import ema
from trainer.training import model_inputs as feed
from trainer.training.state import State

Batch = dict[str, tf.Tensor]
Gradients = Callable[..., tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]]


def _part(number: tf.Tensor, size: int) -> slice:
    return slice(number * size, (number + 1) * size)


def _rows(batch: Batch, chosen: slice, *, count: int) -> Batch:
    """Some of a batch's examples, `count` of them."""
    return {
        name: tf.ensure_shape(column[chosen], [count, *column.shape[1:]])
        for name, column in batch.items()
    }


def _compile_gradients(
    state: State,
    config: TrainConfig,
    *,
    network: keras.Model,
    objective: Objective,
    examples: int,
) -> Gradients:
    """A function of a replica's batch and draws, and of the step: gradients, share of the loss,
    hits.
    """
    optimizer = state.optimizer

    def gradients_of(
        batch: Batch, draws: tf.Tensor, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        images, labels = feed.training_pictures(batch, draws, config)
        inputs = feed.normal(images, batch, config)
        taught = state.teacher.logits(images) if state.teacher else None
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(network(inputs, training=True))
            outputs = [tf.cast(logits, tf.float32) for logits in outputs]
            losses = objective.losses(outputs, labels, step=step)
            if state.teacher:
                losses = state.teacher.losses(losses, logits=outputs[0], taught=taught)
            share = tf.reduce_sum(losses) / config.batch_size  # the parts add up to the mean
            scaled = optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, network.trainable_variables)
        hits = objective.hits(outputs[0], labels, step=step)
        return gradients, share, tf.reduce_sum(tf.cast(hits, tf.int64))

    one = tf.function(gradients_of, jit_compile=True) if config.step.xla else gradients_of
    if config.step.accumulate == 1:
        return one
    return _accumulated(one, parts=config.step.accumulate, size=examples // config.step.accumulate)


def _accumulated(one: Gradients, *, parts: int, size: int) -> Gradients:
    """The same function, taking its examples in parts, one after another."""

    def all_parts(
        batch: Batch, draws: tf.Tensor, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        def part(number: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
            mine = _part(number, size)
            return one(_rows(batch, mine, count=size), draws[mine], step)

        def add(number: tf.Tensor, sums: Any) -> tuple[tf.Tensor, Any]:
            return number + 1, tf.nest.map_structure(tf.add, sums, part(number))

        sums = part(tf.constant(0))
        done = tf.constant(1)
        _, (gradients, share, hits) = tf.while_loop(
            lambda number, _: number < parts, add, (done, sums), parallel_iterations=1
        )
        return gradients, share, hits

    return all_parts


def _clipped(gradients: list[tf.Tensor], largest: tf.Tensor, *, replicas: int) -> list[tf.Tensor]:
    """Each replica's equal share of the sum over all, scaled down to a norm of `largest`."""
    context = tf.distribute.get_replica_context()
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    clipped, _ = tf.clip_by_global_norm(summed, largest)
    return [gradient / replicas for gradient in clipped]  # Keras sums them again


def _next_batch(state: State, config: TrainConfig, *, after: tf.Tensor) -> Batch:
    """The next batch; how long it took is added to `input_seconds`."""
    with tf.control_dependencies([after]):
        asked = tf.timestamp()
    with tf.control_dependencies([asked]):
        batch: Batch = next(state.iterator)
    with tf.control_dependencies(tf.nest.flatten(batch)):
        state.input_seconds.assign_add(tf.timestamp() - asked)
    if config.input.features:
        return batch
    images = batch['image']
    shape = [*images.shape[:-3], config.input.height, config.input.width, 3]
    return {**batch, 'image': tf.ensure_shape(images, shape)}


def compile_steps(
    state: State,
    strategy: tf.distribute.Strategy,
    config: TrainConfig,
    *,
    objective: Objective,
    num_workers: int = 1,
) -> Callable[[tf.Tensor], None]:
    """A function of a number of steps, int32 [], that takes them.

    Args:
      state: what the steps change.
      strategy: each replica takes its part of the batch; gradients are summed over all.
      config: of the run, with the size of the pictures that these steps take.
      objective: what they minimise.
      num_workers: processes of the run; each iterator holds one's part of the batch.
    """
    optimizer = state.optimizer
    replica_batch = config.batch_size // strategy.num_replicas_in_sync
    local_replicas = strategy.num_replicas_in_sync // num_workers
    network = feed.network(state.network, config)
    gradients_of = _compile_gradients(
        state, config, network=network, objective=objective, examples=replica_batch
    )

    def on_replica(batch: Batch, draws: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with tf.device('cpu:0'):  # so that no replica is sent more than its part
            mine = _part(replica % local_replicas, replica_batch)  # of this worker's batch
            batch = _rows(batch, mine, count=replica_batch)
            draws = draws[_part(replica, replica_batch)]  # of the whole batch's
        batch = feed.augmented(batch, draws, config)
        gradients, share, hits = gradients_of(batch, draws, step)
        if config.step.clip_norm is not None:
            largest = optimizer.scale_loss(tf.constant(config.step.clip_norm))
            gradients = _clipped(gradients, largest, replicas=strategy.num_replicas_in_sync)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return share, hits

    def one_step(done: tf.Tensor) -> list[tf.Tensor]:
        # A tensor, or a cast to its own type would be the variable, read after the update.
        step = tf.cast(tf.convert_to_tensor(optimizer.iterations.value), tf.int64)
        seed = tf.stack([tf.constant(config.seed, tf.int64), step])
        with tf.device('cpu:0'):  # of the host, whatever the devices: the same numbers
            draws = feed.draw(config, seed=seed)
        batch = _next_batch(state, config, after=done)
        shares, hits = strategy.run(on_replica, args=(batch, draws, step))
        if state.means:
            decay = config.step.ema_decay
            ema.update(state.means, state.model, decay=decay, step=step, strategy=strategy)
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
