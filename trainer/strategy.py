"""On which devices a run computes. What is absent is an error, never a silent fallback."""

import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig


def build_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """The strategy of a run.

    Raises:
      UserError: if the devices that the config asks for are not there, or the batch does not divide
        among them.
    """
    match config.strategy:
        case 'one_device':
            strategy = tf.distribute.OneDeviceStrategy(_one_device(config))
        case 'mirrored':
            strategy = tf.distribute.MirroredStrategy(_devices(config))
        case name:
            raise UserError(
                f'strategy {name!r} is not built yet; take one_device, or mirrored for the GPUs of '
                'one machine'
            )
    replicas = strategy.num_replicas_in_sync
    if config.batch_size % replicas:
        raise UserError(
            f'batch_size must be a multiple of the {replicas} devices, got {config.batch_size}'
        )
    return strategy


def _one_device(config: TrainConfig) -> str:
    if config.num_devices not in (None, 1):
        raise UserError(
            f'num_devices must be 1 under one_device, got {config.num_devices}; '
            'take --config.strategy=mirrored'
        )
    gpus = tf.config.list_logical_devices('GPU')
    if config.device == 'gpu' and not gpus:
        raise UserError('device must be there, got gpu, but TensorFlow sees none on this machine')
    if gpus and config.device != 'cpu':
        return str(gpus[0].name)
    return str(tf.config.list_logical_devices('CPU')[0].name)


def _devices(config: TrainConfig) -> list[str]:
    if config.device == 'cpu':
        return _cpus(config.num_devices or 1)
    gpus = [device.name for device in tf.config.list_logical_devices('GPU')]
    wanted = config.num_devices or max(len(gpus), 1)
    if wanted > len(gpus):
        raise UserError(
            f'num_devices must be at most the {len(gpus)} GPUs that TensorFlow sees, got {wanted}; '
            'to try it on the processor: --config.device=cpu --config.num_devices=2'
        )
    return gpus[:wanted]


def _cpus(count: int) -> list[str]:
    """The processor as so many devices: no quicker, but the same program as on GPUs."""
    processor = tf.config.list_physical_devices('CPU')[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(processor, parts)
    except RuntimeError as error:  # TensorFlow is running: what it has must do
        if len(tf.config.list_logical_devices('CPU')) < count:
            raise UserError(
                f'num_devices must be set before TensorFlow starts, got {count} too late'
            ) from error
    return [device.name for device in tf.config.list_logical_devices('CPU')[:count]]
