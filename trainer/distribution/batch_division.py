"""Whether batches and shards suffice for the devices of a run. Knows no TensorFlow."""

from collections.abc import Sequence

from catalog.errors import UserError
from catalog.manifest import Shard
from trainer.config import TrainConfig


def check_batch(config: TrainConfig, *, replicas: int) -> None:
    """Checks that a batch can be divided among devices.

    Args:
      config: The config of the run.
      replicas: Number of devices, of all processes.

    Raises:
      UserError: If it cannot.
    """
    if config.batch_size % replicas:
        raise UserError(
            f'batch_size must be a multiple of the {replicas} devices, got {config.batch_size}'
        )
    examples, parts = config.batch_size // replicas, config.step.accumulate
    if examples % parts:
        raise UserError(
            f'step.accumulate must divide the {examples} examples of a device, got {parts}'
        )
    if config.augment.mixes and examples // parts % 2:
        raise UserError(
            'augment.mixup and augment.cutmix mix pairs: batch_size must give a device an even '
            f'number of pictures at a time, got {examples // parts}'
        )


def check_shards(shards: Sequence[Shard], *, hosts: int, folder: str) -> None:
    """Checks that there is a shard for each host that reads its own part of an epoch.

    Args:
      shards: The shards of the train split.
      hosts: Number of hosts.
      folder: The folder of the data set.

    Raises:
      UserError: If there is not.
    """
    filled = sum(shard.records > 0 for shard in shards)
    if filled < hosts:
        raise UserError(
            f'{folder}: input.reading=sharded needs at least as many train shards with records as '
            f'hosts, {hosts}, got {filled}; use --config.input.reading=shared, or make more shards'
        )
