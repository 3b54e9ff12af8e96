"""Batches as the arguments of a step: each device gets its own part, and its random numbers.

Nothing of a step is read, drawn or cut on a device: what a device computes is one program of fixed
shapes, as XLA compiles it for a TPU.
"""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from trainer.data.batches import PREFETCHED_BATCHES
from trainer.data.examples import BatchSpec

DRAWS = 'draws'
POSITION = 'position'

Part = dict[str, tf.Tensor]
MakeParts = Callable[[int, int, int], tf.data.Dataset]
Draw = Callable[..., tf.Tensor]


def iterate(
    make_parts: MakeParts,
    strategy: tf.distribute.Strategy,
    *,
    draw: Draw,
    spec: BatchSpec,
    first_step: int,
) -> Iterator[Any]:
    """Returns an iterator of batches, each the arguments of one step on all devices.

    Args:
      make_parts: Returns the parts of the batches of a worker, as `data.batches.train_batches`
        does: from the worker's index, the number of workers, and the number of its devices.
      strategy: The strategy of the run.
      draw: Draws the random numbers of a number of examples, from `seed`, int64 [2].
      spec: Size of the global batch, and the seed of the run.
      first_step: The step that takes the first batch.

    Returns:
      An iterator of the columns of the parts, and `draws` float32 [b, n] or [b, V, n], the random
      numbers of the part.
    """
    replica_batch = spec.batch_size // strategy.num_replicas_in_sync

    def make_dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        devices = context.num_replicas_in_sync // workers
        first_device = context.input_pipeline_id * devices

        def add_draws(number: tf.Tensor, part: Part) -> Part:
            step, device = first_step + number // devices, first_device + number % devices
            seed = tf.stack([tf.constant(spec.seed, tf.int64), step])
            # Of the global batch: an image's numbers do not depend on the number of devices.
            draws = draw(spec.batch_size, seed=seed)
            first = tf.cast(device, tf.int32) * replica_batch
            own = tf.ensure_shape(
                draws[first : first + replica_batch], [replica_batch, *draws.shape[1:]]
            )
            return {**part, DRAWS: own}

        parts = make_parts(context.input_pipeline_id, workers, devices)
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        # Of a data set that may end, all workers would ask each other before each step.
        return parts.enumerate().map(add_draws).apply(endless)

    if _is_one_cpu(strategy):
        return iter(make_dataset(tf.distribute.InputContext()).prefetch(PREFETCHED_BATCHES))
    return iter(strategy.distribute_datasets_from_function(make_dataset))


def _is_one_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether a batch stays where it is; the strategy's iterator takes time to copy it."""
    devices = strategy.extended.worker_devices
    kinds = [tf.DeviceSpec.from_string(device).device_type for device in devices]
    return strategy.num_replicas_in_sync == 1 and kinds == ['CPU']
