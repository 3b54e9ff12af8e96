r"""Searches for better values of a config: learning rate, dropout, network, or any other field.

Every trial is a run in --output/trials with values drawn from --space (Optuna: tree-structured
Parzen estimator). A trial is pruned when an evaluation is worse than the median of the earlier
trials at that step. The config must evaluate during training (validation.every_steps), and
validation.metric is the metric to optimize. The same command resumes an interrupted search; a
larger --trials extends it. Only the best trial keeps its checkpoints.

A space file defines get_space(): a Range or a Choice for each field of the config to vary.

Examples:
  python -m trainer.tune --config=configs/tiny.py --space=configs/spaces/tiny.py --data=DIR \
    --output=DIR --trials=20 --config.validation.every_steps=300 --config.total_steps=900
"""

import sys

from absl import flags

from catalog import command_line
from trainer import startup
from trainer.config import files, overrides
from trainer.data import data_set
from trainer.tune import search_space

_CONFIG = flags.DEFINE(
    command_line.LOCAL_PATH, 'config', None, 'A file of configs/.', required=True
)
_SPACE = flags.DEFINE(
    command_line.LOCAL_PATH, 'space', None, 'A file of configs/spaces/.', required=True
)
_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'The folder of the shards.', required=True)
_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'The folder of the search.', required=True
)
_TRIALS = flags.DEFINE_integer('trials', 20, 'Total number of trials, over all sessions.')
_UNPRUNED = flags.DEFINE_integer('unpruned', 5, 'Number of first trials that are never pruned.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the values that are drawn.')


def main(argv: list[str]) -> None:
    """Runs the search. `argv`: the program, then overrides of the config as `a.b=value`."""
    given = tuple(argv[1:])
    config = files.load(_CONFIG.value, given)
    space = search_space.load(_SPACE.value, config)
    data = data_set.open_data_set(_DATA.value)
    startup.start()
    from trainer.distribution import signals
    from trainer.tune import results, search  # TensorFlow takes seconds: not for --help

    plan = search.Plan(
        config_path=_CONFIG.value,
        overrides=given,
        space=space,
        output=_OUTPUT.value,
        trials=_TRIALS.value,
        unpruned=_UNPRUNED.value,
        seed=_SEED.value,
    )

    def print_trial(trial: results.TrialResult) -> None:
        print(results.format_trial(trial, metric=config.validation.metric), flush=True)

    try:
        report = search.search(plan, data, on_trial=print_trial)
    except signals.Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        sys.exit(128 + stopped.signal)
    command = ['python', '-m', 'trainer.task', f'--config={_CONFIG.value}']
    command += [f'--data={_DATA.value}', '--workdir=DIR', *(f'--config.{x}' for x in given)]
    print(results.format_report(report, command=command))


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
