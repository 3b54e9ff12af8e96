"""Decodes the pictures of several products as a model does, and skips undecodable ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import pixels
from catalog.formats.bad_picture import BadPicture

# string [N], N at least 1 -> images that the model takes; raises BadPicture if one is undecodable
Decode = Callable[[Sequence[bytes]], Any]

Place = tuple[int, int]  # row of the product, position of the picture in it


@dataclass(frozen=True)
class DecodedPictures:
    """The decodable pictures of several products.

    Attributes:
      images: What the model takes for M pictures; None for no picture.
      product: Row of each picture's product, int64 [M], ascending.
      unusable: The reasons of the skipped pictures, in order.
    """

    images: Any
    product: npt.NDArray[np.int64]
    unusable: Mapping[Place, BadPicture]


def decode_pictures(products: Sequence[Sequence[bytes]], decode: Decode) -> DecodedPictures:
    """Decodes the pictures of products."""
    good: dict[Place, bytes] = {}
    unusable: dict[Place, BadPicture] = {}
    for row, views in enumerate(products):
        for view, data in enumerate(views):
            try:
                good[row, view] = pixels.to_served(data)
            except BadPicture as error:
                unusable[row, view] = error
    try:
        images = decode(list(good.values())) if good else None
    except BadPicture:  # one picture fails the batch: decode each
        for place, data in list(good.items()):
            try:
                good[place] = _decodable(data, decode)
            except BadPicture as error:
                del good[place]
                unusable[place] = error
        images = decode(list(good.values())) if good else None
    return DecodedPictures(
        images=images,
        product=np.array([row for row, _ in good], np.int64),
        unusable=dict(sorted(unusable.items())),
    )


def _decodable(data: bytes, decode: Decode) -> bytes:
    """Returns a picture as the model decodes it: unchanged, or as a PNG.

    Raises:
      BadPicture: If it is not a usable image.
    """
    try:
        decode([data])
    except BadPicture:
        data = pixels.to_png(data)
        decode([data])
    return data
