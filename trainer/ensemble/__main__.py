"""Makes several trained models one: a mean of what they say, or stacking.

--output is a folder that trainer.evaluate and trainer.export take as --workdir, and that another
model can learn from (distill.teacher). The members stay where they are; if one goes on, the
ensemble has to be made again. They may have different networks, sizes of pictures and ways to fuse
views, but must know one category tree and answer with one prior.

The weights are fitted on a labelled split that no member learned from. --combine is one of
  arithmetic, fitted_arithmetic   the mean of the probabilities, equal or weighted
  geometric, fitted_geometric     the normalised geometric mean, equal or with fitted powers
  stacking                        powers and factors for each class, held near the fitted powers
  best                            that with the smallest log loss on every fifth product, which is
                                  left out of the fit

Example:
  python -m trainer.ensemble --workdirs=run/a,run/b --data=run/shards --output=run/both
  python -m trainer.evaluate --workdir=run/both --data=run/shards --split=test --output=run/test
  python -m trainer.export --workdir=run/both --output=run/models/product_categories/2
"""

from absl import flags

from catalog import command_line
from trainer import startup as tensorflow_start

_WAYS = ['best', 'arithmetic', 'fitted_arithmetic', 'geometric', 'fitted_geometric', 'stacking']

_WORKDIRS = flags.DEFINE_list('workdirs', None, 'Folders of the training runs.', required=True)
_DATA = flags.DEFINE_string('data', None, 'Folder of the data set.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write: a new one.', required=True)
_SPLIT = flags.DEFINE_string('split', 'validation', 'Split to fit on and to compare.')
_COMBINE = flags.DEFINE_enum('combine', 'best', _WAYS, 'How what they say becomes one.')


def main(argv: list[str]) -> None:
    """Reads the flags, makes the ensemble, prints the comparison."""
    del argv
    tensorflow_start.start()
    from trainer.ensemble import build as ensembling  # TensorFlow takes seconds: not for --help

    made = ensembling.make(
        workdirs=_WORKDIRS.value,
        data_folder=_DATA.value,
        split=_SPLIT.value,
        way=_COMBINE.value,
        output=_OUTPUT.value,
    )
    print(f'{ensembling.text(made)}\nwritten to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
