"""Exports a trained model as a SavedModel, one version folder of TensorFlow Serving.

--output names the version: DIR/MODEL/VERSION, VERSION a whole number that is not there yet. The
folder is written under another name and renamed, so that a server that watches DIR/MODEL sees it
whole. Its signatures:
  serving_default   image_bytes -> the likeliest --top_k categories of each picture
  product           image_bytes, product -> the same for each product, its pictures taken together,
                    and how deep in the tree the answer can be trusted (--threshold)
  embedding         image_bytes -> features for finding similar pictures

Evaluate first, into WORKDIR/report: model_card.json then carries the figures, and confidence is
calibrated: divided by the temperature that the evaluation fitted.

Example:
  python -m trainer.export --workdir=run/workdir --output=run/models/product_categories/1
"""

from absl import flags

from catalog import command_line
from trainer import startup as tensorflow_start

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the training run.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'DIR/MODEL/VERSION to write.', required=True)
_TOP_K = flags.DEFINE_integer('top_k', 5, 'Categories in an answer.')
_THRESHOLD = flags.DEFINE_float(
    'threshold', 0.5, "Summed confidence from which a product's level is trusted, in [0, 1]."
)
_TTA = flags.DEFINE_enum(
    'tta',
    'none',
    ['none', 'flip'],
    'flip: a picture and its mirror image together, twice the work.',
)


def main(argv: list[str]) -> None:
    """Reads the flags, exports."""
    del argv
    tensorflow_start.start()
    from trainer.export import saved_model as exporting  # TensorFlow takes seconds: not for --help

    calibration = exporting.export(
        workdir=_WORKDIR.value,
        output=_OUTPUT.value,
        top_k=_TOP_K.value,
        threshold=_THRESHOLD.value,
        tta=_TTA.value,
    )
    print(f'written to {_OUTPUT.value}; confidence: {calibration.words}')


if __name__ == '__main__':
    command_line.run(main)
