"""Calls of a function on all devices of this process, each with its part of a batch."""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

Columns = dict[str, tf.Tensor]
Function = Callable[[Columns], Any]


def divide(
    function: Function,
    strategy: tf.distribute.Strategy,
    *,
    num_workers: int = 1,
    batch_size: int | None = None,
) -> Function:
    """Returns a function of a batch that the devices of this process compute together.

    Args:
      function: Columns [b, …] to nested tensors [b, …]; a row depends on its own row only.
      strategy: The strategy that holds the variables of the function.
      num_workers: Processes of the strategy.
      batch_size: A smaller batch is padded to this size with its own rows, so that all have one
        shape; None pads only what the devices cannot divide.

    Returns:
      The same function for a whole batch: [B, …] -> [B, …], with the rows in their order.
    """
    replicas = strategy.num_replicas_in_sync // num_workers

    @functools.partial(tf.function, autograph=False, reduce_retracing=replicas == 1)
    def compute(parts: Columns) -> Any:
        results = strategy.run(function, args=(parts,))
        return tf.nest.map_structure(
            lambda result: tf.concat(strategy.experimental_local_results(result), axis=0), results
        )

    def part_of(batch: Columns, context: tf.distribute.experimental.ValueContext) -> Columns:
        size = len(next(iter(batch.values()))) // replicas
        first = context.replica_id_in_sync_group % replicas * size
        return {name: column[first : first + size] for name, column in batch.items()}

    def call(batch: Columns) -> Any:
        count = len(next(iter(batch.values())))
        size = replicas * math.ceil((batch_size or count) / replicas)
        with tf.device('cpu:0'):  # so that no replica is sent more than its part
            rows = tf.range(size) % count
            padded = {name: tf.gather(column, rows) for name, column in batch.items()}
            parts = strategy.experimental_distribute_values_from_function(
                functools.partial(part_of, padded)
            )
        return tf.nest.map_structure(lambda result: result[:count], compute(parts))

    return call
