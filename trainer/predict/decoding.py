"""Decodes the pictures of several products as models do, and skips undecodable ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import pixels
from catalog.formats.image_header import BadPicture
from trainer.export.loading import Decoder, Size


@dataclass(frozen=True)
class DecodedPictures:
    """The decodable pictures of several products.

    Attributes:
      images: uint8 [M, height, width, 3], by size.
      product: Row of each picture's product, int64 [M], ascending.
      unusable: The skipped pictures: row of the product, position of the picture in it.
    """

    images: Mapping[Size, tf.Tensor]
    product: npt.NDArray[np.int64]
    unusable: tuple[tuple[int, int], ...]


def decode_pictures(
    products: Sequence[Sequence[bytes]], decoders: Mapping[Size, Decoder]
) -> DecodedPictures:
    """Decodes the pictures of products, for models of several sizes."""
    places = [(row, view) for row, views in enumerate(products) for view in range(len(views))]
    served = {place: _convert(products[place[0]][place[1]], pixels.to_served) for place in places}
    good = {place: data for place, data in served.items() if data}
    try:
        images = _decode_all(list(good.values()), decoders)
    except tf.errors.InvalidArgumentError:  # one picture fails the batch: decode each
        decodable = {place: _decodable(data, decoders) for place, data in good.items()}
        good = {place: data for place, data in decodable.items() if data}
        images = _decode_all(list(good.values()), decoders)
    return DecodedPictures(
        images=images,
        product=np.array([row for row, _ in good], np.int64),
        unusable=tuple(place for place in places if place not in good),
    )


def _convert(data: bytes, convert: Callable[[bytes], bytes]) -> bytes | None:
    """Returns a picture in another format, or None if it is not one."""
    try:
        return convert(data)
    except BadPicture:
        return None


def _decodable(data: bytes, decoders: Mapping[Size, Decoder]) -> bytes | None:
    """Returns a picture as the models decode it: unchanged, as a PNG, or None."""
    if _decodes(data, decoders):
        return data
    png = _convert(data, pixels.to_png)
    return png if png and _decodes(png, decoders) else None


def _decode_all(pictures: list[bytes], decoders: Mapping[Size, Decoder]) -> dict[Size, tf.Tensor]:
    if not pictures:  # decoders of some models need one
        return {}
    encoded = tf.constant(pictures, tf.string, shape=[len(pictures)])
    return {size: decoder(encoded) for size, decoder in decoders.items()}


def _decodes(data: bytes, decoders: Mapping[Size, Decoder]) -> bool:
    try:
        _decode_all([data], decoders)
    except tf.errors.InvalidArgumentError:
        return False
    return True
