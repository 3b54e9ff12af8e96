"""Opens a version folder: its files say which runtime it is for."""

from catalog import storage
from serving.networks import spec
from serving.runtimes.converted_model import ConvertedModel
from serving.runtimes.model import Model
from serving.runtimes.saved_model import SavedModel


def open_model(path: str) -> Model:
    """Loads a version folder: a converted model if it has a `network.json`, else a SavedModel.

    Raises:
      Exception: If the model is incomplete. TensorFlow's loader raises many types.
    """
    if storage.exists(storage.join(path, spec.FILE_NAME)):
        return ConvertedModel(path)
    return SavedModel(path)
