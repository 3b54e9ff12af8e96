r"""Searches for better values of a config: learning rate, dropout, network, whatever it has.

Every trial is a run in --output/trials with values drawn from --space (Optuna: tree-structured
Parzen estimator). It is given up when an evaluation is worse than the median of the earlier trials'
at that step. The config must evaluate while it trains (validation.every_steps), and
validation.metric says what is better. The same command goes on where a search was stopped; a larger
--trials adds to it. Of all trials but the best the checkpoints are deleted.

A space file defines get_space(): fields of the config, and a Range or a Choice for each.

Examples:
  python -m trainer.tune --config=configs/tiny.py --space=configs/spaces/tiny.py --data=DIR \
    --output=DIR --trials=20 --config.validation.every_steps=300 --config.total_steps=900
"""

import sys

from absl import flags

from catalog import command_line
from trainer import startup as tensorflow_start
from trainer.config import files as config_files
from trainer.config import overrides
from trainer.data import data_set
from trainer.tune import space as search_space

_CONFIG = flags.DEFINE_string('config', None, 'A file of configs/.', required=True)
_SPACE = flags.DEFINE_string('space', None, 'A file of configs/spaces/.', required=True)
_DATA = flags.DEFINE_string('data', None, 'The folder of the shards.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'The folder of the search.', required=True)
_TRIALS = flags.DEFINE_integer('trials', 20, 'Trials in all, with those of an earlier start.')
_UNPRUNED = flags.DEFINE_integer('unpruned', 5, 'First trials that run to their end.')
_SEED = flags.DEFINE_integer('seed', 0, 'Another seed tries other values.')


def main(argv: list[str]) -> None:
    """`argv`: the program, then the overrides of the config as `a.b=value`."""
    given = tuple(argv[1:])
    config = config_files.load(_CONFIG.value, given)
    space = search_space.load(_SPACE.value, config)
    data = data_set.open_data_set(_DATA.value)
    tensorflow_start.start()
    from trainer.distribution import signals as stopping
    from trainer.tune import results as search_report
    from trainer.tune import search  # TensorFlow takes seconds: not for --help

    plan = search.Plan(
        config_path=_CONFIG.value,
        overrides=given,
        space=space,
        output=_OUTPUT.value,
        trials=_TRIALS.value,
        unpruned=_UNPRUNED.value,
        seed=_SEED.value,
    )
    try:
        report = search.search(
            plan,
            data,
            tell=lambda trial: print(
                search_report.line(trial, metric=config.validation.metric), flush=True
            ),
        )
    except stopping.Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        sys.exit(128 + stopped.signal)
    command = ['python', '-m', 'trainer.task', f'--config={_CONFIG.value}']
    command += [f'--data={_DATA.value}', '--workdir=DIR', *(f'--config.{x}' for x in given)]
    print(search_report.text(report, command=command))


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
