"""Thumbnails: a small JPEG of each product's first photo, one after the other in a file."""

import io
from typing import BinaryIO

from PIL import Image

_QUALITY = 80


def encode(picture: bytes, *, pixels: int) -> bytes:
    """Returns a picture as a JPEG whose sides have at most `pixels`; b'' if Pillow cannot read it.

    A shard's pictures are upright JPEG. One that is small enough keeps its bytes.
    """
    try:
        with Image.open(io.BytesIO(picture)) as image:
            if max(image.size) <= pixels and image.format == 'JPEG':
                return picture
            image.draft('RGB', (pixels, pixels))
            image.thumbnail((pixels, pixels))
            file = io.BytesIO()
            image.convert('RGB').save(file, 'JPEG', quality=_QUALITY)
    except (OSError, ValueError, Image.DecompressionBombError):
        return b''
    return file.getvalue()


class ThumbnailWriter:
    """Writes the thumbnails of products to a file.

    Attributes:
      places: Offset and size of each product's thumbnail, by product.
    """

    def __init__(self, file: BinaryIO, *, pixels: int) -> None:
        self.places: dict[int, tuple[int, int]] = {}
        self._file = file
        self._pixels = pixels
        self._index: dict[int, int] = {}  # product -> position of the photo in it

    def add_photo(self, product: int, picture: bytes, *, index: int) -> None:
        """Adds a photo of a product; the one with the smallest index counts."""
        if self._index.get(product, index + 1) <= index:
            return
        if thumbnail := encode(picture, pixels=self._pixels):
            self._index[product] = index
            self.add(product, thumbnail)

    def add(self, product: int, thumbnail: bytes) -> None:
        """Adds a thumbnail."""
        self.places[product] = (self._file.tell(), len(thumbnail))
        self._file.write(thumbnail)
