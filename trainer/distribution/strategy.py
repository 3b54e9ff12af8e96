"""On which devices a run computes. What is absent is an error, never a silent fallback."""

import os

import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.distribution import signals as stopping
from trainer.distribution import workers
from trainer.distribution.workers import Cluster


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
        case 'multi_worker':
            strategy = _multi_worker(config)
        case 'tpu':
            strategy = _tpu()
        case name:
            raise ValueError(f"strategy must be one of the config's, got {name!r}")
    _check_batch(config, replicas=strategy.num_replicas_in_sync)
    return strategy


def _check_batch(config: TrainConfig, *, replicas: int) -> None:
    if config.batch_size % replicas:
        raise UserError(
            f'batch_size must be a multiple of the {replicas} devices, got {config.batch_size}'
        )
    pictures, parts = config.batch_size // replicas, config.step.accumulate
    if pictures % parts:
        raise UserError(
            f'step.accumulate must divide the {pictures} pictures of a device, got {parts}'
        )
    if config.augment.mixes and pictures // parts % 2:
        raise UserError(
            'augment.mixup and augment.cutmix pair neighbours: batch_size must give a device an '
            f'even number of pictures at a time, got {pictures // parts}'
        )


def cluster_of(config: TrainConfig) -> Cluster:
    """The processes that share the run; reads TF_CONFIG under `multi_worker` only."""
    return workers.read_cluster() if config.strategy == 'multi_worker' else Cluster()


def _multi_worker(config: TrainConfig) -> tf.distribute.Strategy:
    """Joins the other workers: waits until all are there.

    Every worker takes all its GPUs, or one processor device with `device='cpu'`.
    """
    workers.read_cluster()  # says what is wrong with TF_CONFIG
    if config.num_devices is not None:
        raise UserError(
            f'num_devices must be None under multi_worker, got {config.num_devices}: a worker '
            'takes all that it sees; hide GPUs with CUDA_VISIBLE_DEVICES'
        )
    kinds = tf.distribute.experimental.CommunicationImplementation
    if config.device == 'cpu':
        tf.config.set_visible_devices([], 'GPU')
    elif not tf.config.list_physical_devices('GPU'):
        raise UserError(
            f'device must be there, got {config.device}, but TensorFlow sees no GPU on this worker;'
            ' to try it on the processor: --config.device=cpu'
        )
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.RING if config.device == 'cpu' else kinds.AUTO
    )
    with stopping.ctrl_c_ends_at_once():  # SIGTERM, TensorFlow takes for itself
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _tpu() -> tf.distribute.Strategy:
    """The TPU that this machine, or TPU_NAME, has. Written from the documentation; not yet run."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(
            os.environ.get('TPU_NAME', 'local')
        )
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f'strategy tpu must find a TPU: on a TPU VM, or the one that TPU_NAME names: {reason}'
        ) from error


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
