r"""Trains a model on a data set.

  python -m trainer.task --config=configs/tiny.py --data=DIR --workdir=DIR
  python -m trainer.task --config=configs/tiny.py --data=DIR --workdir=DIR \
    --config.optimizer.learning_rate=0.01 --config.total_steps=500
  python -m trainer.task --config=configs/tiny.py --data=DIR --dry_run

--data is a folder that beam_pipelines.shard wrote. The same command on the same workdir resumes
where the run stopped. Every field of the config can be set by --config.FIELD=VALUE; --dry_run
prints all. Exit code: 0 after the last step; 128 + the signal's number if a signal stopped the run
and its state is saved; 75 if another worker is lost; 2 after an error that the user can fix. In a
job of Vertex AI, 134 replaces the codes after which the same command resumes: the job restarts.
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from trainer import naming, startup, vertex_environment
from trainer.config import files, overrides
from trainer.data import data_set

if TYPE_CHECKING:
    from trainer.config import TrainConfig
    from trainer.data.data_set import DataSet
    from trainer.metrics.classification import Metrics

_CONFIG = flags.DEFINE(
    command_line.LOCAL_PATH,
    'config',
    None,
    'A config file, such as configs/tiny.py.',
    required=True,
)
_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'The folder of the shards.', required=True)
_WORKDIR = flags.DEFINE(
    command_line.PATH, 'workdir', None, 'The folder of the run: checkpoints and metrics.'
)
_VERIFY = flags.DEFINE_enum(
    'verify',
    'sampled',
    ['sampled', 'full'],
    'Whether to compare a sample of the shards or all with their digests.',
)
_DRY_RUN = flags.DEFINE_bool(
    'dry_run', False, 'Check the config and the data and print them; train nothing.'
)

_LOST_WORKER_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again


def main(argv: list[str]) -> None:
    """Takes the program name, then overrides of the config as `a.b=value`."""
    config = files.load(_CONFIG.value, argv[1:])
    if not (_WORKDIR.value or _DRY_RUN.value):
        raise UserError('--workdir must be given: the folder of the run')
    data = data_set.open_data_set(_DATA.value, verify=_VERIFY.value)
    startup.start()
    if _DRY_RUN.value:
        from trainer.training import dry_run  # loads TensorFlow: errors above are faster

        dry_run.show(config, data)
    else:
        _train(config, data, vertex_environment.workdir_of_trial(_WORKDIR.value))


def _train(config: 'TrainConfig', data: 'DataSet', workdir: str) -> None:
    from trainer.distribution.signals import Stopped
    from trainer.distribution.strategy import find_cluster
    from trainer.distribution.workers import LostWorker
    from trainer.training.loop import train

    is_chief = find_cluster(config.strategy).is_chief

    def observe(step: int, metrics: 'Metrics') -> None:
        if is_chief:
            name = config.validation.metric
            vertex_environment.report_metric(name, getattr(metrics, name), step=step)

    try:
        outcome = train(config, data, workdir, observe=observe)
    except Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        sys.exit(vertex_environment.exit_code(128 + stopped.signal))
    except LostWorker as lost:
        code = vertex_environment.exit_code(_LOST_WORKER_EXIT_CODE)
        command_line.exit_with_error(lost, code=code)
    last = outcome.metrics
    metrics = (
        f'loss {last["loss"]:.4f}, training accuracy {last["accuracy"]:.4f}'
        if last
        else f'{naming.METRICS} has no metrics, it may have been deleted'
    )
    if outcome.trained:
        print(f'trained {outcome.step:,} steps into {workdir}: {metrics}')
    else:
        print(f'{workdir} is complete at step {outcome.step:,}, nothing was trained: {metrics}')


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
