"""Normalizes the weights of each class in a trained model's last layer: tau-normalization.

A second stage without training (Kang et al., 2019, arXiv:1910.09217): classes with many pictures
learn weights of a large norm and are predicted too often. The weights of each class are divided by
their norm to the power of tau, between 0 (unchanged) and 1 (all of norm 1); biases are dropped.
Without --tau it is fitted: the value of 0, 0.1, ... 1 with the best --metric per picture on
--split. Metrics on the split that tau was fitted on do not measure the model.

--output is a workdir with one checkpoint, which can be evaluated and exported; tau_norm.json
records the fit. The prior that the model predicts is no longer known.

Examples:
  python -m trainer.tau_norm --workdir=run/work --data=run/shards --output=run/tau_norm
  python -m trainer.tau_norm --workdir=run/work --tau=0.7 --output=run/tau_norm
"""

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from trainer import startup

_WORKDIR = flags.DEFINE(
    command_line.PATH, 'workdir', None, 'The workdir of the run.', required=True
)
_OUTPUT = flags.DEFINE(command_line.PATH, 'output', None, 'The workdir to write.', required=True)
_TAU = flags.DEFINE_float('tau', None, 'Exponent in [0, 1]; fitted if not given.')
_DATA = flags.DEFINE(
    command_line.PATH, 'data', None, 'The folder of the shards that tau is fitted on.'
)
_SPLIT = flags.DEFINE_string('split', 'validation', 'The split that tau is fitted on.')
_METRIC = flags.DEFINE_enum(
    'metric',
    'macro_recall',
    ['accuracy', 'macro_recall', 'macro_f1'],
    'The metric that tau maximizes.',
)


def main(argv: list[str]) -> None:
    """Fits tau if it is not given, and writes the normalized model."""
    del argv
    if (_TAU.value is None) == (_DATA.value is None):
        raise UserError('exactly one of --tau and --data must be given; tau is fitted on --data')
    startup.start()
    from trainer.tau_norm.tau import evaluate_taus, write_normalized  # loads TensorFlow

    if _TAU.value is not None:
        write_normalized(workdir=_WORKDIR.value, output=_OUTPUT.value, tau=_TAU.value)
        print(f'written to {_OUTPUT.value}')
        return
    evaluated = evaluate_taus(workdir=_WORKDIR.value, data_folder=_DATA.value, split=_SPLIT.value)
    for row in evaluated:
        print(
            f'tau {row.tau:.1f}: accuracy {row.accuracy:.4f}, macro recall {row.macro_recall:.4f}, '
            f'macro F1 {row.macro_f1:.4f}'
        )
    best = max(evaluated, key=lambda row: getattr(row, _METRIC.value))
    write_normalized(
        workdir=_WORKDIR.value, output=_OUTPUT.value, tau=best.tau, evaluated=evaluated
    )
    print(f'tau {best.tau:.1f} has the best {_METRIC.value}: written to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
