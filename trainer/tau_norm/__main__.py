"""Makes the classes of a trained model's last layer alike in length: tau-normalisation.

A second stage without training (Kang et al., 2019, arXiv:1910.09217): what a class has learned from
many pictures has long weights and is answered too often. The weights of each class are divided by
their length to the power of tau, between 0 (as they are) and 1 (all of one length); biases are
dropped. Without --tau it is fitted: the one of 0, 0.1, ... 1 with the best --metric on --split, a
picture at a time. Do not report figures of the split that tau was fitted on as those of the model.

--output is a workdir with one checkpoint, to evaluate and to export; tau_norm.json says what was
found. The model no longer answers with a prior that is known.

Examples:
  python -m trainer.tau_norm --workdir=run/workdir --data=run/shards --output=run/tau_norm
  python -m trainer.tau_norm --workdir=run/workdir --tau=0.7 --output=run/tau_norm
"""

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from trainer import startup as tensorflow_start

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the training run.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'Workdir to write.', required=True)
_TAU = flags.DEFINE_float('tau', None, 'In [0, 1]; fitted where it is not given.')
_DATA = flags.DEFINE_string('data', None, 'Folder of the data set that tau is fitted on.')
_SPLIT = flags.DEFINE_string('split', 'validation', 'Its split.')
_METRIC = flags.DEFINE_enum(
    'metric',
    'macro_recall',
    ['accuracy', 'macro_recall', 'macro_f1'],
    'What tau should be best in.',
)


def main(argv: list[str]) -> None:
    """Reads the flags, fits, writes."""
    del argv
    if (_TAU.value is None) == (_DATA.value is None):
        raise UserError('--data must be given to fit tau on, or else --tau, one of the two')
    tensorflow_start.start()
    from trainer.tau_norm import tau as tau_fitting  # TensorFlow takes seconds: not for --help

    if _TAU.value is not None:
        tau_fitting.normalize(workdir=_WORKDIR.value, output=_OUTPUT.value, tau=_TAU.value)
        print(f'written to {_OUTPUT.value}')
        return
    tried = tau_fitting.fit(workdir=_WORKDIR.value, data_folder=_DATA.value, split=_SPLIT.value)
    for row in tried:
        print(
            f'tau {row.tau:.1f}: accuracy {row.accuracy:.4f}, macro recall {row.macro_recall:.4f}, '
            f'macro F1 {row.macro_f1:.4f}'
        )
    best = max(tried, key=lambda row: getattr(row, _METRIC.value))
    tau_fitting.normalize(workdir=_WORKDIR.value, output=_OUTPUT.value, tau=best.tau, tried=tried)
    print(f'tau {best.tau:.1f} has the best {_METRIC.value}: written to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
