"""Whether a batch can be divided among the devices of a run. Knows no TensorFlow."""

from catalog.errors import UserError
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
