"""Evaluates a trained model on a split of a data set.

Prints a table and writes to --output, atomically:
  evaluation.json       the metrics: per product at the top level, per picture under "pictures"
  evaluation.html       a page with charts and sample images, which needs no other file
  predictions.parquet   one row per product: product_id, label, predicted and confidence (top k)
  suspects.csv          products with a suspected label error, the most suspicious first
docs/evaluation.md defines every metric.

A product's probabilities are the mean over its pictures, or the model's own if it fuses views
(docs/fusion.md); a picture is then a product of one view. An earlier evaluation in --output is
replaced. trainer.export and trainer.summary read the evaluation in WORKDIR/report.

Each device of --strategy=mirrored computes its part of every batch; the predictions are equal up to
rounding.

Examples:
  python -m trainer.evaluate --workdir=run/work --data=run/shards --output=run/work/report
  python -m trainer.evaluate --workdir=run/work --data=run/shards --split=test --output=run/test
"""

from absl import flags

from catalog import command_line, terminal
from trainer import startup
from trainer.distribution import device_flags

flags.adopt_module_key_flags(device_flags)

_WORKDIR = flags.DEFINE(
    command_line.PATH, 'workdir', None, 'Folder of the training run.', required=True
)
_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'Folder of the data set.', required=True)
_SPLIT = flags.DEFINE_string('split', 'validation', 'Split to evaluate on.')
_OUTPUT = flags.DEFINE(command_line.PATH, 'output', None, 'Folder for the report.', required=True)
_TOP_K = flags.DEFINE_integer('top_k', 5, 'Predictions per product in predictions.parquet.')
_TARGET = flags.DEFINE_float(
    'target_accuracy', 0.95, 'Required accuracy of auto-classified products, in (0, 1].'
)
_TTA = flags.DEFINE_enum(
    'tta',
    'none',
    ['none', 'flip'],
    'Test-time augmentation. flip: mean prediction of an image and its mirror image, at twice the '
    'cost.',
)


def main(argv: list[str]) -> None:
    """Parses the flags, evaluates, and prints the metrics."""
    del argv
    startup.start()
    from trainer.evaluate import evaluation, text  # TensorFlow takes seconds: not for --help

    with device_flags.build_strategy().scope():
        result = evaluation.evaluate(
            workdir=_WORKDIR.value,
            data_folder=_DATA.value,
            split=_SPLIT.value,
            output=_OUTPUT.value,
            options=evaluation.EvaluateOptions(
                top_k=_TOP_K.value, target=_TARGET.value, tta=_TTA.value
            ),
        )
    print(terminal.escape(text.format_evaluation(result)))
    print(f'\nwritten to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
