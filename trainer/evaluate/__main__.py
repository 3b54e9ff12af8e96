"""Measures a trained model on a split of a data set.

Prints a table and writes, whole or not at all, into --output:
  evaluation.json       the figures: per product at the top, per picture under "pictures"
  evaluation.html       the same for people, with charts and photos; works offline
  predictions.parquet   a row a product: product_id, label, predicted and confidence (top k)
  suspects.csv          products whose label is suspected to be wrong, the most suspicious first
What each figure is: docs/evaluation.md.

A product's probabilities are the mean of its pictures', or the model's own where it fuses views
(docs/fusion.md); a picture is then a product of one view. An --output that holds an earlier
evaluation is replaced. trainer.export and trainer.summary look for it in WORKDIR/report.

Examples:
  python -m trainer.evaluate --workdir=run/workdir --data=run/shards --output=run/workdir/report
  python -m trainer.evaluate --workdir=run/workdir --data=run/shards --split=test --output=run/test
"""

from absl import flags

from catalog import command_line
from trainer import startup as tensorflow_start

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the training run.', required=True)
_DATA = flags.DEFINE_string('data', None, 'Folder of the data set.', required=True)
_SPLIT = flags.DEFINE_string('split', 'validation', 'Split to measure on.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the report.', required=True)
_TOP_K = flags.DEFINE_integer('top_k', 5, 'Predictions kept a product in predictions.parquet.')
_TARGET = flags.DEFINE_float(
    'target_accuracy', 0.95, 'Accuracy of what may be filed without a person looking, in (0, 1].'
)
_AUC_GB = flags.DEFINE_float(
    'auc_gb',
    4,
    'Temporary disk in GiB, products x classes x 4 bytes; ROC AUC has bounds beyond it.',
)
_TTA = flags.DEFINE_enum(
    'tta',
    'none',
    ['none', 'flip'],
    'flip: a picture and its mirror image together, twice the work.',
)


def main(argv: list[str]) -> None:
    """Reads the flags, measures, prints."""
    del argv
    tensorflow_start.start()
    from trainer.evaluate import evaluation  # TensorFlow takes seconds: not for --help
    from trainer.evaluate import text as evaluation_report

    measured = evaluation.evaluate(
        workdir=_WORKDIR.value,
        data_folder=_DATA.value,
        split=_SPLIT.value,
        output=_OUTPUT.value,
        options=evaluation.Options(
            top_k=_TOP_K.value,
            target=_TARGET.value,
            auc_bytes=round(_AUC_GB.value * 2**30),
            tta=_TTA.value,
        ),
    )
    print(evaluation_report.text(measured))
    print(f'\nwritten to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
