"""The devices of a run. A missing device is an error, never a silent fallback."""

import os
import sys
from typing import Literal

import tensorflow as tf

from catalog.errors import UserError
from trainer import startup
from trainer.config import TrainConfig
from trainer.distribution import peers, signals
from trainer.distribution.batch_division import check_batch
from trainer.distribution.cluster import VARIABLE, Cluster, read_cluster

_MAX_REASON = 200  # characters


def build_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """Builds the distribution strategy of a run.

    Raises:
      UserError: If the devices of the config are missing, or the batch cannot be divided among
        them.
    """
    match config.strategy:
        case 'one_device' | 'mirrored':
            strategy = local_strategy(
                config.strategy, device=config.device, num_devices=config.num_devices
            )
        case 'multi_worker':
            strategy = _multi_worker(config.device, config.num_devices)
        case 'tpu':
            strategy = _tpu()
        case name:
            raise ValueError(f'strategy must be one of TrainConfig, got {name!r}')
    startup.hide_notes_on_types()
    check_batch(config, replicas=strategy.num_replicas_in_sync)
    return strategy


def local_strategy(
    name: Literal['one_device', 'mirrored'], *, device: str, num_devices: int | None
) -> tf.distribute.Strategy:
    """Builds a strategy of this process alone.

    Args:
      name: One device, or several.
      device: `auto`, `cpu` or `gpu`.
      num_devices: Number of devices; None uses all.

    Raises:
      UserError: If the devices are missing.
    """
    if name == 'one_device':
        return tf.distribute.OneDeviceStrategy(_one_device(device, num_devices))
    return tf.distribute.MirroredStrategy(_devices(device, num_devices))


def find_cluster(strategy: str) -> Cluster:
    """Returns the place of this process; reads TF_CONFIG only for the strategy `multi_worker`."""
    return read_cluster() if strategy == 'multi_worker' else Cluster()


def _multi_worker(device: str, num_devices: int | None) -> tf.distribute.Strategy:
    """Waits until all workers have joined.

    Every worker uses all its GPUs, or one CPU device with `device='cpu'`.
    """
    cluster = read_cluster()
    if num_devices is not None:
        raise UserError(
            f'num_devices must be None for multi_worker, got {num_devices}: a worker uses '
            'all GPUs that it sees; hide some with CUDA_VISIBLE_DEVICES'
        )
    kinds = tf.distribute.experimental.CommunicationImplementation
    if device == 'cpu':
        tf.config.set_visible_devices([], 'GPU')
    elif not tf.config.list_physical_devices('GPU'):
        raise UserError(
            f'device {device} needs a GPU, but TensorFlow sees none on this worker; to run '
            'on the CPU: --config.device=cpu'
        )
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.RING if device == 'cpu' else kinds.AUTO
    )
    print(
        "warning: multi_worker opens this worker's port in TF_CONFIG on all interfaces, without "
        'authentication; admit only the other workers to it (docs/operations.md)',
        file=sys.stderr,
        flush=True,
    )
    os.environ[VARIABLE] = cluster.to_tf_config()  # TensorFlow reads it
    with signals.ctrl_c_terminates():
        peers.wait_for_peers(cluster)  # TensorFlow handles SIGTERM itself
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _tpu() -> tf.distribute.Strategy:
    """Connects to the TPU of this machine or of TPU_NAME. From the documentation; not yet run."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(
            os.environ.get('TPU_NAME', 'local')
        )
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].split('. ')[0][:_MAX_REASON]
        raise UserError(
            f'strategy tpu needs a TPU, of this VM or named by TPU_NAME, got: {reason}'
        ) from error


def _one_device(device: str, num_devices: int | None) -> str:
    if num_devices not in (None, 1):
        raise UserError(
            f'num_devices must be 1 for one_device, got {num_devices}; '
            'use --config.strategy=mirrored'
        )
    gpus = tf.config.list_logical_devices('GPU')
    if device == 'gpu' and not gpus:
        raise UserError('device gpu needs a GPU, but TensorFlow sees none on this machine')
    if gpus and device != 'cpu':
        return str(gpus[0].name)
    return str(tf.config.list_logical_devices('CPU')[0].name)


def _devices(device: str, num_devices: int | None) -> list[str]:
    if device == 'cpu':
        return _cpus(num_devices or 1)
    gpus = [gpu.name for gpu in tf.config.list_logical_devices('GPU')]
    wanted = num_devices or max(len(gpus), 1)
    if wanted > len(gpus):
        raise UserError(
            f'num_devices must be at most the number of GPUs, {len(gpus)}, got {wanted}; to run on '
            'the CPU: --config.device=cpu --config.num_devices=2'
        )
    return gpus[:wanted]


def _cpus(count: int) -> list[str]:
    """Splits the CPU into logical devices: no faster, but the same program as on GPUs."""
    processor = tf.config.list_physical_devices('CPU')[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(processor, parts)
    except RuntimeError as error:  # TensorFlow has started: its devices are fixed
        if len(tf.config.list_logical_devices('CPU')) < count:
            raise UserError(
                f'num_devices must be set before TensorFlow starts, got {count} too late'
            ) from error
    return [cpu.name for cpu in tf.config.list_logical_devices('CPU')[:count]]
