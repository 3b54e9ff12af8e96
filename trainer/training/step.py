"""Training steps on the devices: one compiled call takes several. Knows no disk and no clock."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from trainer.config import StepConfig, TrainConfig
from trainer.data import progressive_resizing
from trainer.distribution.replica_batches import DRAWS, POSITION
from trainer.losses.objective import Objective
from trainer.optim import ema
from trainer.training.model_inputs import Batch, ModelInputs, model_inputs
from trainer.training.state import State

Gradients = Callable[..., tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]]
ReplicaStep = Callable[[Batch, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def _build_gradients(
    state: State,
    config: StepConfig,
    *,
    inputs: ModelInputs,
    network: keras.Model,
    objective: Objective,
    global_batch: int,
    replica_batch: int,
) -> Gradients:
    """Returns a function from a replica's batch, its draws and the step to gradients, the replica's
    share of the mean loss, and the number of correct examples.
    """
    optimizer = state.optimizer

    def compute(
        batch: Batch, draws: tf.Tensor, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        views, labels = inputs.mixed(batch, draws)
        known, labels = labels.known(), labels.with_known_classes()
        network_inputs = inputs.network_inputs(views, batch)
        teacher_logits = state.teacher.logits(views) if state.teacher else None
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(network(network_inputs, training=True))
            outputs = [tf.cast(logits, tf.float32) for logits in outputs]
            losses = objective.losses(outputs, labels, step=step)
            if state.teacher:
                losses = state.teacher.losses(
                    losses, logits=outputs[0], teacher_logits=teacher_logits
                )
            losses = tf.where(known, losses, 0.0)
            share = tf.reduce_sum(losses) / global_batch  # the replicas' shares add up to the mean
            scaled = optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, network.trainable_variables)
        hits = known & objective.hits(outputs[0], labels, step=step)
        return gradients, share, tf.reduce_sum(tf.cast(hits, tf.int64))

    compiled = tf.function(compute, jit_compile=True) if config.xla else compute
    if config.accumulate == 1:
        return compiled
    return _accumulate(compiled, parts=config.accumulate, size=replica_batch // config.accumulate)


def _accumulate(compute: Gradients, *, parts: int, size: int) -> Gradients:
    """Returns the same function, which takes its examples in parts, one after another."""

    def compute_parts(
        batch: Batch, draws: tf.Tensor, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        def part(number: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
            def rows(column: tf.Tensor) -> tf.Tensor:
                start = [number * size, *[0] * (column.shape.rank - 1)]
                return tf.slice(column, start, [size, *column.shape[1:]])

            return compute(tf.nest.map_structure(rows, batch), rows(draws), step)

        def add(number: tf.Tensor, sums: Any) -> tuple[tf.Tensor, Any]:
            return number + 1, tf.nest.map_structure(tf.add, sums, part(number))

        sums = part(tf.constant(0))
        done = tf.constant(1)
        _, (gradients, share, hits) = tf.while_loop(
            lambda number, _: number < parts, add, (done, sums), parallel_iterations=1
        )
        return gradients, share, hits

    return compute_parts


def _clip(gradients: list[tf.Tensor], max_norm: tf.Tensor, *, replicas: int) -> list[tf.Tensor]:
    """Returns each replica's equal share of the sum, scaled down to a norm of `max_norm`."""
    context = tf.distribute.get_replica_context()
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    clipped, _ = tf.clip_by_global_norm(summed, max_norm)
    return [gradient / replicas for gradient in clipped]  # Keras sums them again


def _next_batch(state: State, batches: Iterator[Any], *, after: tf.Tensor) -> dict[str, Any]:
    """Returns the next batch and adds the time that it took to `input_seconds`.

    Args:
      state: The state.
      batches: The batches.
      after: A tensor that must be computed before.
    """
    with tf.control_dependencies([after]):
        start = tf.timestamp()
    with tf.control_dependencies([start]):
        batch: dict[str, Any] = next(batches)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        state.input_seconds.assign_add(tf.timestamp() - start)
    return batch


def _with_image_size(batch: Batch, *, height: int, width: int) -> Batch:
    """Returns a batch whose image size is known when it is compiled, also if a run has several."""
    if 'image' not in batch:  # cached features
        return batch
    images = batch['image']
    return {**batch, 'image': tf.ensure_shape(images, [*images.shape[:-3], height, width, 3])}


def build_replica_step(
    state: State, strategy: tf.distribute.Strategy, config: TrainConfig, *, objective: Objective
) -> ReplicaStep:
    """Returns what a replica computes in a step.

    It takes the replica's part of a batch of `replica_batches` and the step, int64 [], changes the
    weights, and returns the replica's share of the mean loss, float32 [], and the numbers of
    correct examples, pictures and undecodable pictures, int64 [3]. It has no operation of the host:
    with `step.xla` or on a TPU, all shapes are fixed, and XLA compiles it.

    Args:
      state: The state that the steps change.
      strategy: The strategy of the run.
      config: Config of the run, with the image size of these steps.
      objective: The loss to minimize.
    """
    optimizer = state.optimizer
    replica_batch = config.batch_size // strategy.num_replicas_in_sync
    inputs = model_inputs(config)
    height, width = progressive_resizing.stages(config.input)[0].decoded
    network = inputs.network(state.network)
    compute_gradients = _build_gradients(
        state,
        config.step,
        inputs=inputs,
        network=network,
        objective=objective,
        global_batch=config.batch_size,
        replica_batch=replica_batch,
    )

    def on_replica(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        draws = batch[DRAWS]
        batch = {name: column for name, column in batch.items() if name != DRAWS}
        batch = _with_image_size(batch, height=height, width=width)
        pictures = inputs.picture_counts(batch)
        batch = inputs.augmented(batch, draws)
        gradients, share, hits = compute_gradients(batch, draws, step)
        if config.step.clip_norm is not None:
            max_norm = optimizer.scale_loss(tf.constant(config.step.clip_norm))
            gradients = _clip(gradients, max_norm, replicas=strategy.num_replicas_in_sync)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return share, tf.concat([[hits], pictures], axis=0)

    return on_replica


def compile_steps(
    state: State,
    strategy: tf.distribute.Strategy,
    config: TrainConfig,
    *,
    objective: Objective,
) -> Callable[[tf.Tensor, Iterator[Any]], None]:
    """Returns a function of a number of steps, int32 [], and of batches, that takes these steps.

    The batches are those of `replica_batches.iterate`. They are an argument, since TensorFlow keeps
    the graph of a function, and what it captures, after the end of a run.

    Args:
      state: The state that the steps change.
      strategy: Each replica takes its part of the batch; gradients are summed over all replicas.
      config: Config of the run, with the image size of these steps.
      objective: The loss to minimize.
    """
    optimizer = state.optimizer
    on_replica = build_replica_step(state, strategy, config, objective=objective)

    def one_step(done: tf.Tensor, batches: Iterator[Any]) -> list[tf.Tensor]:
        # A tensor: a cast to the variable's own dtype would return the variable, read after the
        # update.
        step = tf.cast(tf.convert_to_tensor(optimizer.iterations.value), tf.int64)
        batch = _next_batch(state, batches, after=done)
        position = batch.pop(POSITION)
        if config.input.reading == 'shared':
            position = strategy.experimental_local_results(position)[0]  # all are equal
        else:
            position = strategy.reduce(tf.distribute.ReduceOp.SUM, position, axis=None)
        shares, counts = strategy.run(on_replica, args=(batch, step))
        if state.ema:
            decay = config.step.ema_decay
            ema.update(state.ema, state.model, decay=decay, step=step, strategy=strategy)
        mean_loss = strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
        counts = strategy.reduce(tf.distribute.ReduceOp.SUM, counts, axis=None)
        state.window.steps.assign_add(1)
        state.window.loss.assign_add(tf.cast(mean_loss, tf.float64))
        state.window.correct.assign_add(counts[0])
        state.pictures.read.assign_add(counts[1])
        state.pictures.undecodable.assign_add(counts[2])
        state.position.assign(position)
        return [done + 1]

    def take_steps(count: tf.Tensor, batches: Iterator[Any]) -> None:
        tf.while_loop(
            lambda done: done < count, lambda done: one_step(done, batches), [tf.constant(0)]
        )

    compiled: Callable[[tf.Tensor, Iterator[Any]], None] = tf.function(take_steps, autograph=False)
    return compiled
