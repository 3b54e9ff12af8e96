"""What predicts products: an exported model in any runtime, or several."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from catalog.model_folders.version_folder import VersionFolder


class Model(Protocol):
    """A loaded model. Its methods may be called from many threads."""

    @property
    def folder(self) -> VersionFolder:
        """The version folder: its category tree with C categories, and what its card says."""

    def decode(self, pictures: Sequence[bytes]) -> Any:
        """Decodes pictures, at least one, to images for `probabilities`, on one thread.

        Raises:
          BadPicture: If one of them is not decodable.
        """

    def probabilities(self, images: Any, product: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Computes calibrated probabilities of products.

        Args:
          images: M images, product by product.
          product: int64 [M], the product of each image, every number from 0 to P-1.

        Returns:
          float32 [P, C]
        """
