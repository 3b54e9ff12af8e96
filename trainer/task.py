r"""Trains a model on a data set.

  python -m trainer.task --config=configs/tiny.py --data=DIR --workdir=DIR
  python -m trainer.task --config=configs/tiny.py --data=DIR --workdir=DIR \
    --config.optimizer.learning_rate=0.01 --config.total_steps=500
  python -m trainer.task --config=configs/tiny.py --data=DIR --dry_run

DATA is a folder that beam_pipelines.shard wrote. The same command on the same workdir goes on where
the run stopped. Every field of the config can be set as --config.FIELD=VALUE; --dry_run shows them.
Exit code: 0 after the last step; 128 + the signal's number if a signal stopped the run, with its
state saved; 2 if something must be mended first.
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from trainer import startup as tensorflow_start
from trainer.config import files as configs
from trainer.config import overrides
from trainer.data import data_set

if TYPE_CHECKING:
    from trainer.config import TrainConfig
    from trainer.data.data_set import DataSet

_CONFIG = flags.DEFINE_string('config', None, 'A file of configs/.', required=True)
_DATA = flags.DEFINE_string('data', None, 'The folder of the shards.', required=True)
_WORKDIR = flags.DEFINE_string('workdir', None, 'The folder of the run: checkpoints, metrics.')
_VERIFY = flags.DEFINE_enum(
    'verify', 'sampled', ['sampled', 'full'], 'How many shards to compare with their digests first.'
)
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Check config and data, show them, train nothing.')


def main(argv: list[str]) -> None:
    """`argv`: the program, then the overrides of the config as `a.b=value`."""
    config = configs.load(_CONFIG.value, argv[1:])
    if not (_WORKDIR.value or _DRY_RUN.value):
        raise UserError('--workdir must be given: the folder that the run is kept in')
    data = data_set.open_data_set(_DATA.value, verify=_VERIFY.value)
    tensorflow_start.start()
    if _DRY_RUN.value:
        from trainer.training import dry_run  # TensorFlow takes seconds: mistakes are told before

        dry_run.show(config, data)
    else:
        _train(config, data, _WORKDIR.value)


def _train(config: 'TrainConfig', data: 'DataSet', workdir: str) -> None:
    from trainer.distribution import signals as stopping
    from trainer.training.loop import train

    try:
        last = train(config, data, workdir)
    except stopping.Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        sys.exit(128 + stopped.signal)
    print(
        f'trained {last["step"]:,} steps into {workdir}: '
        f'loss {last["loss"]:.4f}, accuracy {last["accuracy"]:.4f} on the pictures of training'
    )


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
