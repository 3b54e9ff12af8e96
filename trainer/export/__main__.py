r"""Exports a trained model as a SavedModel in a version folder of TensorFlow Serving.

--output is DIR/MODEL/VERSION, where VERSION is an integer that does not exist yet. The folder is
written under a temporary name and renamed, so that a server that watches DIR/MODEL never sees an
incomplete version. Its signatures:
  serving_default   image_bytes -> the --top_k most probable categories of each picture
  product           image_bytes, product -> the same for each product from all its pictures, and the
                    deepest level of the tree that can be trusted (--threshold)
  embedding         image_bytes -> features for finding similar pictures
  pixels            images, uint8 [N, height, width, 3] -> the outputs of serving_default and
                    embedding, for clients that decode pictures themselves

Run trainer.evaluate with --output=WORKDIR/report first: model_card.json then has the metrics, and
the confidence is calibrated by the temperature that the evaluation fitted.

The model predicts with the class prior that its loss was trained for. --target_prior shifts it
without retraining: `natural` is the prior of the products in the source, `uniform` has all
categories equally probable, and a file has a prior of its own: CSV with the header
category_id,share and a row for each category.

With --signing_key, the digests of the files are signed, and a server with the public key loads no
other model:
  openssl genpkey -algorithm ed25519 -out signing.pem
  openssl pkey -in signing.pem -pubout -out public.pem
  python -m serving.model_server --digests_key=public.pem ...

Examples:
  python -m trainer.export --workdir=run/work --output=run/models/product_categories/1
  python -m trainer.export --workdir=run/work --output=run/models/product_categories/2 \
    --target_prior=uniform
"""

from absl import flags

from catalog import command_line
from catalog.digests.keys import read_private_key
from catalog.model_versions import names
from trainer import startup

_WORKDIR = flags.DEFINE(
    command_line.PATH, 'workdir', None, 'The workdir of a run or an ensemble.', required=True
)
_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'DIR/MODEL/VERSION, the folder to write.', required=True
)
_TOP_K = flags.DEFINE_integer('top_k', 5, 'Categories in a prediction.')
_THRESHOLD = flags.DEFINE_float(
    'threshold', 0.5, 'Summed confidence from which a level of the tree is trusted, in [0, 1].'
)
_TTA = flags.DEFINE_enum(
    'tta',
    'none',
    ['none', 'flip'],
    'Test-time augmentation. flip: mean prediction of an image and its mirror image, at twice the '
    'cost.',
)
_TARGET_PRIOR = flags.DEFINE(
    command_line.PATH,
    'target_prior',
    None,
    'natural, uniform or a CSV file; by default the prior of training.',
)
_SIGNING_KEY = flags.DEFINE(
    command_line.PATH,
    'signing_key',
    None,
    'PEM file of an Ed25519 private key that signs digests.json.',
)


def main(argv: list[str]) -> None:
    """Exports the model."""
    del argv
    names.read_path(_OUTPUT.value, flag='output')  # before TensorFlow loads
    key = read_private_key(_SIGNING_KEY.value) if _SIGNING_KEY.value else None
    startup.start()
    from trainer.export.saved_model import export  # loads TensorFlow, which --help need not

    calibration = export(
        workdir=_WORKDIR.value,
        output=_OUTPUT.value,
        top_k=_TOP_K.value,
        threshold=_THRESHOLD.value,
        tta=_TTA.value,
        target_prior=_TARGET_PRIOR.value,
        signing_key=key,
    )
    shifted = f'; prior shifted to {_TARGET_PRIOR.value}' if _TARGET_PRIOR.value else ''
    print(f'written to {_OUTPUT.value}; confidence: {calibration.words}{shifted}')


if __name__ == '__main__':
    command_line.run(main)
