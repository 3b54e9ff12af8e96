"""Writes a trained model as one version folder of TensorFlow Serving, whole or not at all.

In the folder: the SavedModel, warm-up requests, `model_card.json`, and `digests.json`, written
last: the SHA-256 of every other file, because a cut-off asset loads and serves in silence.
"""

import hashlib
import json
from pathlib import Path

import tensorflow as tf

from catalog import atomic_folder, categories, storage
from catalog.errors import UserError
from trainer import naming
from trainer.export import model_card, warmup
from trainer.export import temperatures as baked
from trainer.export.serving_module import ServingModule
from trainer.export.temperatures import Baked
from trainer.inference import predictor as answerer
from trainer.inference import runs as restoring
from trainer.workdir import run_files


def export(*, workdir: str, output: str, top_k: int, threshold: float, tta: str = 'none') -> Baked:
    """Exports the newest checkpoint of a workdir; what became of its confidence.

    Args:
      workdir: of a run or an ensemble.
      output: `DIR/MODEL/VERSION`, a folder that does not exist; the version is a whole number.
      top_k: answers a picture, or as many as there are classes.
      threshold: of `level` in the signature `product`, in [0, 1].
      tta: `flip` asks each picture and its mirror image together, which takes twice as long.

    Raises:
      UserError: if the version exists, a value is impossible or the workdir has no checkpoint.
    """
    name, version = _name_and_version(output)
    if top_k < 1:
        raise UserError(f'--top_k must be at least 1, got {top_k}')
    if not 0 <= threshold <= 1:
        raise UserError(f'--threshold must be in [0, 1], got {threshold}')
    with atomic_folder.create(output) as partial:
        run, tree = restoring.open_run(workdir, tta=tta), run_files.restore_categories(workdir)
        calibration = baked.restore(workdir, step=run.step, tta=tta)
        module = ServingModule(
            answerer.of(run),
            tree,
            temperatures=calibration.temperatures,
            names_file=storage.join(workdir, categories.FILE_NAME),
            top_k=top_k,
            threshold=threshold,
        )
        signatures = module.signatures()
        tf.saved_model.save(module, str(partial), signatures=signatures)
        warmup.write(partial, model_name=name, input_config=run.config.input)
        card = model_card.make(
            workdir=workdir, name=name, version=version, run=run,
            tree=tree, calibration=calibration, top_k=min(top_k, len(tree)), threshold=threshold,
            tta=tta,
        )  # fmt: skip
        (partial / naming.MODEL_CARD).write_text(card, encoding='utf-8')
        write_digests(partial)
    return calibration


def _name_and_version(output: str) -> tuple[str, int]:
    parts = output.rstrip('/').split('/')
    if len(parts) < 2 or not parts[-2] or not parts[-1].isdecimal():
        raise UserError(
            f'--output must be DIR/MODEL/VERSION, the version a whole number, got {output!r}; '
            'TensorFlow Serving takes nothing else'
        )
    return parts[-2], int(parts[-1])


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256, in hex, of every file below a folder but `digests.json`, by relative path."""
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in files
        if path != folder / naming.DIGESTS
    }


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def write_digests(folder: Path) -> None:
    """Writes `digests.json`."""
    document = json.dumps({'sha256': digests(folder)}, indent=1)
    (folder / naming.DIGESTS).write_text(document + '\n', encoding='utf-8')
