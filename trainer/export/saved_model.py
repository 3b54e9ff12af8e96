"""Writes a trained model atomically as a version folder of TensorFlow Serving.

It holds the SavedModel, warm-up requests, `model_card.json`, and, written last, `digests.json`, and
with a key its signature (`catalog.digests`).
"""

import tempfile

import tensorflow as tf

from catalog import atomic_folder, categories, storage
from catalog.digests import folder as digests
from catalog.digests.keys import PrivateKey
from catalog.errors import UserError
from catalog.model_folders import literal_path
from catalog.model_versions import names
from trainer import naming
from trainer.export import model_card, warmup
from trainer.export.serving_module import ServingModule
from trainer.export.target_prior import read_shift
from trainer.export.temperatures import ExportCalibration, read_calibration
from trainer.inference.runs import open_run
from trainer.workdir import run_files


def export(
    *,
    workdir: str,
    output: str,
    top_k: int,
    threshold: float,
    tta: str = 'none',
    target_prior: str | None = None,
    signing_key: PrivateKey | None = None,
) -> ExportCalibration:
    """Exports the newest checkpoint of a workdir and returns the calibration of its confidence.

    Args:
      workdir: The workdir of a run or an ensemble.
      output: `DIR/MODEL/VERSION`, a folder that does not exist; the version is an integer.
      top_k: Categories in a prediction, or all if there are fewer.
      threshold: Threshold of `level` in the signature `product`, in [0, 1].
      tta: `flip` averages each picture and its mirror image, which takes twice as long.
      target_prior: See `target_prior.read_shift`.
      signing_key: Signs the digests, so that a server can tell who wrote the model.

    Raises:
      UserError: If the version exists, a value is out of range, the workdir has no checkpoint, or
        the prior cannot be shifted.
    """
    if literal_path.has_wildcards(output):
        raise UserError(
            f'{output}: --output must have none of the characters *?[]\\ in its path, because '
            'TensorFlow cannot load a model from there; choose another folder'
        )
    name, version = names.read_path(output, flag='output')
    if top_k < 1:
        raise UserError(f'--top_k must be at least 1, got {top_k}')
    if not 0 <= threshold <= 1:
        raise UserError(f'--threshold must be in [0, 1], got {threshold}')
    with (
        atomic_folder.create(output, last=naming.SAVED_MODEL) as partial,
        tempfile.TemporaryDirectory() as assets,
    ):
        run, tree = open_run(workdir, tta=tta), run_files.restore_categories(workdir)
        names_file = storage.join(assets, categories.FILE_NAME)  # TensorFlow copies it
        storage.write_bytes(
            names_file, storage.read_bytes(storage.join(workdir, categories.FILE_NAME))
        )
        calibration = read_calibration(workdir, step=run.step, tta=tta)
        module = ServingModule(
            run.predictor(),
            tree,
            input_config=run.config.input,
            temperatures=calibration.temperatures,
            prior_shift=read_shift(target_prior, run, tree, workdir=workdir),
            names_file=names_file,
            top_k=top_k,
            threshold=threshold,
        )
        signatures = module.signatures()
        tf.saved_model.save(module, str(partial), signatures=signatures)
        warmup.write(partial, model_name=name, input_config=run.config.input)
        card = model_card.build_card(
            workdir=workdir, name=name, version=version, run=run,
            tree=tree, calibration=calibration, top_k=min(top_k, len(tree)), threshold=threshold,
            tta=tta, target_prior=target_prior,
        )  # fmt: skip
        (partial / naming.MODEL_CARD).write_text(card, encoding='utf-8')
        digests.write(str(partial), key=signing_key)
    return calibration
