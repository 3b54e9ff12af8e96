"""A model that serving.convert made: decoding on the processor before a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import pixels
from catalog.model_folders.version_folder import VersionFolder
from catalog.networks import opening, spec


class NetworkModel:
    """A loaded network, see `catalog.predictions.model.Model`."""

    def __init__(self, folder: VersionFolder) -> None:
        """Loads a version folder.

        Raises:
          UserError: If a file is damaged, or the runtime is not installed.
        """
        self.folder = folder
        self._spec = spec.read(folder.path)
        self._network = opening.open_network(folder.path, self._spec)

    def decode(self, pictures: Sequence[bytes]) -> npt.NDArray[np.uint8]:
        """Decodes pictures: string [N] -> uint8 [N, H, W, 3].

        Raises:
          BadPicture: If one of them is not decodable.
        """
        height, width = self._spec.height, self._spec.width
        return np.stack(
            [
                np.asarray(pixels.fit(pixels.decode(data), height=height, width=width))
                for data in pictures
            ]
        )

    def probabilities(self, images: Any, product: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Computes the probabilities of products: uint8 [M, H, W, 3], int64 [M] -> [P, C]."""
        return self._network.run(images, product).products
