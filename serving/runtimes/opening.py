"""Opens a version folder: its files say which runtime it is for."""

from catalog.networks import spec
from serving.runtimes.converted_model import ConvertedModel
from serving.runtimes.model import Model
from serving.runtimes.saved_model import SavedModel


def open_model(path: str) -> Model:
    """Loads a version folder: a converted model if it has a `network.json`, else a SavedModel.

    Raises:
      Exception: If the model is incomplete. TensorFlow's loader raises many types.
    """
    if spec.is_there(path):
        return ConvertedModel(path)
    return SavedModel(path)
