"""Opens a version folder in the runtime that its files are for, once in a process."""

import functools
import io
import os

import numpy as np
from PIL import Image

from catalog.errors import UserError
from catalog.model_folders import local_copy, version_folder
from catalog.model_folders.version_folder import SAVED_MODEL, VersionFolder
from catalog.networks import spec
from catalog.predictions.model import Model
from catalog.process import startup_messages

MODEL_FILES = (SAVED_MODEL, spec.FILE_NAME)  # one of these is in a version folder


@functools.cache
def open_model(path: str, fingerprint: str) -> Model:
    """Loads a model, or returns the one that this process has loaded.

    Args:
      path: A version folder, local or on an object store.
      fingerprint: `version_folder.fingerprint` of the folder where the job was started.

    Raises:
      UserError: If the folder is damaged, or is another one on this machine.
    """
    folder = version_folder.open_folder(local_copy.local_path(path), files=MODEL_FILES)
    if version_folder.fingerprint([folder.path]) != fingerprint:
        raise UserError(
            f'{path}: must be the same model on every worker, got another one; copy it to an '
            'object store, or into the image of the workers'
        )
    if spec.is_there(folder.path):
        from beam_pipelines.inference.network_model import NetworkModel

        return NetworkModel(folder)
    return _load_saved_model(folder)


def _load_saved_model(folder: VersionFolder) -> Model:
    # As trainer.predict: oneDNN's kernels on every CPU, and no messages about absent hardware.
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    try:
        with startup_messages.hide():
            from beam_pipelines.inference.saved_model import SavedModel

            model = SavedModel(folder)
            _warm_up(model)
            return model
    except ModuleNotFoundError as error:
        raise UserError(
            f'{folder.path}: needs TensorFlow, and {error.name} is not installed; '
            "pip install 'product-categories[predict]' on the workers"
        ) from error


def _warm_up(model: Model) -> None:
    """Predicts a picture. The first operations allocate memory, and print notes on the CPU."""
    file = io.BytesIO()
    Image.new('RGB', (8, 8)).save(file, 'PNG')
    model.probabilities(model.decode([file.getvalue()]), np.zeros(1, np.int64))
