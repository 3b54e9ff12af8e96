"""The flags of commands that compute on the devices of one machine. Loads no TensorFlow."""

from typing import TYPE_CHECKING

from absl import flags

from trainer import startup

if TYPE_CHECKING:
    import tensorflow as tf

_STRATEGY = flags.DEFINE_enum(
    'strategy',
    'one_device',
    ['one_device', 'mirrored'],
    'Whether one device computes, or each of several its part of every batch.',
)
_DEVICE = flags.DEFINE_enum(
    'device', 'auto', ['auto', 'cpu', 'gpu'], 'Kind of the devices; auto uses GPUs.'
)
_NUM_DEVICES = flags.DEFINE_integer(
    'num_devices', None, 'Number of devices; by default all GPUs, or one CPU.', lower_bound=1
)


def build_strategy() -> 'tf.distribute.Strategy':
    """Builds the strategy of the flags; models restored in its scope compute on its devices.

    Raises:
      UserError: If the devices are missing.
    """
    from trainer.distribution.strategy import local_strategy

    strategy = local_strategy(_STRATEGY.value, device=_DEVICE.value, num_devices=_NUM_DEVICES.value)
    startup.hide_notes_on_types()
    return strategy
