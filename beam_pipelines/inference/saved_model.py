"""A SavedModel of `trainer.export`. Imported only where one is loaded: it imports TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from catalog.formats.bad_picture import BadPicture
from catalog.model_folders.literal_path import literal_path
from catalog.model_folders.version_folder import VersionFolder


class SavedModel:
    """A loaded SavedModel, see `catalog.predictions.model.Model`."""

    def __init__(self, folder: VersionFolder) -> None:
        """Loads a version folder.

        Raises:
          UserError: If it was exported by an older version.
        """
        self.folder = folder
        with literal_path(folder.path) as readable:
            self._loaded = tf.saved_model.load(readable)
        if not hasattr(self._loaded, 'product_probabilities') or not hasattr(
            self._loaded, 'decode'
        ):
            raise UserError(
                f'{folder.path}: was exported by an older version of trainer.export; export it '
                'again'
            )

    def decode(self, pictures: Sequence[bytes]) -> Any:
        """Decodes pictures: string [N] -> uint8 [N, H, W, 3], a tensor.

        Raises:
          BadPicture: If one of them is not decodable.
        """
        try:
            return self._loaded.decode(tf.constant(list(pictures), tf.string))
        except tf.errors.InvalidArgumentError as error:
            raise BadPicture('corrupt', 'the model cannot decode it') from error

    def probabilities(self, images: Any, product: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Computes the probabilities of products: uint8 [M, H, W, 3], int64 [M] -> [P, C]."""
        rows = tf.constant(product, tf.int64)
        return self._loaded.product_probabilities(images, rows).numpy()
