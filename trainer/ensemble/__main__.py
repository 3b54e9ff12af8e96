"""Combines several trained models into an ensemble: a mean of their probabilities, or stacking.

trainer.evaluate and trainer.export take --output as --workdir, and a student can be trained with it
(distill.teacher). The ensemble refers to the members' workdirs; after more training of a member,
build it again. Members may differ in network, image size and fusion of views, but must have the
same category tree and predict with the same class prior.

The weights are fitted on a labelled split that no member was trained on. --combine is one of
  arithmetic, fitted_arithmetic   the mean of the probabilities, with equal or fitted weights
  geometric, fitted_geometric     the normalized geometric mean, with equal or fitted exponents
  stacking                        exponents and factors for each class, regularized towards the
                                  fitted exponents
  best                            the one with the smallest log loss on every fifth product, which
                                  is held out of the fit

Example:
  python -m trainer.ensemble --workdirs=run/a,run/b --data=run/shards --output=run/both
  python -m trainer.evaluate --workdir=run/both --data=run/shards --split=test --output=run/test
  python -m trainer.export --workdir=run/both --output=run/models/product_categories/2
"""

from absl import flags

from catalog import command_line
from trainer import startup

_METHODS = ['best', 'arithmetic', 'fitted_arithmetic', 'geometric', 'fitted_geometric', 'stacking']

_WORKDIRS = flags.DEFINE(
    command_line.PATHS, 'workdirs', None, 'Folders of the training runs.', required=True
)
_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'Folder of the data set.', required=True)
_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'New folder for the ensemble.', required=True
)
_SPLIT = flags.DEFINE_string('split', 'validation', 'Split to fit and compare on.')
_COMBINE = flags.DEFINE_enum('combine', 'best', _METHODS, 'How the probabilities are combined.')


def main(argv: list[str]) -> None:
    """Parses the flags, builds the ensemble, and prints the comparison."""
    del argv
    startup.start()
    from trainer.ensemble import build  # TensorFlow takes seconds: not for --help

    ensemble = build.build_ensemble(
        workdirs=_WORKDIRS.value,
        data_folder=_DATA.value,
        split=_SPLIT.value,
        method=_COMBINE.value,
        output=_OUTPUT.value,
    )
    print(f'{build.format_comparison(ensemble)}\nwritten to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
