"""Loads and checks exported models and computes their predictions, of one or of several.

Several models predict with the mean of their calibrated probabilities. They must have the same
categories; their image sizes may differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from catalog.formats.bad_picture import BadPicture
from catalog.model_folders import local_copy, version_folder
from catalog.model_folders.literal_path import literal_path
from catalog.model_folders.version_folder import VersionFolder

Size = tuple[int, int]  # height, width in pixels
Decoder = Callable[[tf.Tensor], tf.Tensor]  # string [N] -> uint8 [N, height, width, 3]
Images = Mapping[Size, tf.Tensor]  # uint8 [N, height, width, 3], by size


@dataclass(frozen=True)
class ExportedModel:
    """An exported model.

    Attributes:
      folder: Its version folder.
      loaded: The SavedModel.
      size: Height and width of its images.
    """

    folder: VersionFolder
    loaded: Any
    size: Size


@dataclass(frozen=True)
class ExportedModels:
    """Exported models that predict together, all with the same category tree."""

    models: tuple[ExportedModel, ...]

    @property
    def folder(self) -> VersionFolder:
        """The version folder of the first model, whose threshold and most common category count."""
        return self.models[0].folder

    def decode(self, pictures: Sequence[bytes]) -> Images:
        """Decodes pictures for each image size, by the first model with this size.

        Raises:
          BadPicture: If one of them is not decodable.
        """
        encoded = tf.constant(list(pictures), tf.string, shape=[len(pictures)])
        decoders = {model.size: model.loaded.decode for model in reversed(self.models)}
        return decode_all(encoded, decoders)

    def probabilities(self, images: Images, product: npt.NDArray[np.int64]) -> Any:
        """Computes the mean of the models' calibrated probabilities of products.

        Args:
          images: Images, by size.
          product: int64 [M], the product of each picture, every number from 0 to P-1.

        Returns:
          float32 [P, C]
        """
        rows = tf.constant(product, tf.int64)
        each = [
            model.loaded.product_probabilities(images[model.size], rows) for model in self.models
        ]
        return (tf.add_n(each) / len(each)).numpy()


def decode_all(encoded: tf.Tensor, decoders: Mapping[Size, Decoder]) -> Images:
    """Decodes pictures, string [N], by several decoders.

    Raises:
      BadPicture: If one of them is not decodable.
    """
    try:
        return {size: decoder(encoded) for size, decoder in decoders.items()}
    except tf.errors.InvalidArgumentError as error:
        raise BadPicture('corrupt', 'the model cannot decode it') from error


def load(folders: Sequence[str]) -> ExportedModels:
    """Loads exported models.

    Raises:
      UserError: If a folder is not a version of an exported model, or is damaged, or the models
        have different categories.
    """
    if not folders:
        raise UserError('--model must name a version folder of an exported model, got none')
    opened = [_open(folder) for folder in folders]
    models = tuple(map(_load, opened))
    for folder in opened:
        if folder.tree.sha256 != opened[0].tree.sha256:
            raise UserError(
                f'{folder.path}: models that predict together must have the same categories, got '
                f'others than those of {opened[0].path}'
            )
    return ExportedModels(models)


def _open(folder: str) -> VersionFolder:
    version_folder.check_folder(folder)  # of an object store, before it is copied
    return version_folder.open_folder(local_copy.local_path(folder))


def _load(folder: VersionFolder) -> ExportedModel:
    with literal_path(folder.path) as readable:
        loaded = tf.saved_model.load(readable)
    if not hasattr(loaded, 'product_probabilities') or not hasattr(loaded, 'decode'):
        raise UserError(
            f'{folder.path}: was exported by an older version of trainer.export; export it again'
        )
    (function,) = loaded.decode.concrete_functions
    _, height, width, _ = function.structured_outputs.shape
    return ExportedModel(folder, loaded, (height, width))
