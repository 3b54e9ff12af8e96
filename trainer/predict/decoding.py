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
      unusable: Number of skipped pictures.
    """

    images: Mapping[Size, tf.Tensor]
    product: npt.NDArray[np.int64]
    unusable: int


def decode_pictures(
    products: Sequence[Sequence[bytes]], decoders: Mapping[Size, Decoder]
) -> DecodedPictures:
    """Decodes the pictures of products, for models of several sizes."""
    rows = [(row, data) for row, pictures in enumerate(products) for data in pictures]
    good = [(row, served) for row, data in rows if (served := _convert(data, pixels.to_served))]
    try:
        images = _decode_all([data for _, data in good], decoders)
    except tf.errors.InvalidArgumentError:  # one picture fails the batch: decode each
        good = [(row, seen) for row, data in good if (seen := _decodable(data, decoders))]
        images = _decode_all([data for _, data in good], decoders)
    return DecodedPictures(
        images=images,
        product=np.array([row for row, _ in good], np.int64),
        unusable=len(rows) - len(good),
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
    encoded = tf.constant(pictures, tf.string, shape=[len(pictures)])
    return {size: decoder(encoded) for size, decoder in decoders.items()}


def _decodes(data: bytes, decoders: Mapping[Size, Decoder]) -> bool:
    try:
        _decode_all([data], decoders)
    except tf.errors.InvalidArgumentError:
        return False
    return True
