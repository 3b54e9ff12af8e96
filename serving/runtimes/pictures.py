"""Decodes the pictures of a request for a network that takes pixels: `catalog.pixels`' rule."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from catalog import pixels
from catalog.formats.bad_picture import REMEDY, BadPicture
from catalog.formats.image_header import SERVED_FORMATS, read_header
from serving.protocol.status import invalid_argument

Images = npt.NDArray[np.uint8]

_FORMATS = (*SERVED_FORMATS, 'bmp')  # those of the exported graph


class PictureDecoder:
    """Decodes pictures to one size, several at a time."""

    def __init__(self, *, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), 'decode')

    def decode(self, encoded: Sequence[bytes]) -> Images:
        """Decodes pictures: N files -> uint8 [N, H, W, 3].

        Raises:
          RequestError: INVALID_ARGUMENT, if one is not a usable picture.
        """
        if len(encoded) == 1:  # no hand-over between threads
            return self._decode_one(encoded[0])[np.newaxis]
        images = np.empty((len(encoded), self._height, self._width, 3), np.uint8)
        for image, decoded in zip(
            images, self._threads.map(self._decode_one, encoded), strict=True
        ):
            image[:] = decoded
        return images

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False)

    def _decode_one(self, data: bytes) -> Images:
        try:
            form = read_header(data).format
            if form not in _FORMATS:
                raise invalid_argument(
                    f'a picture of the format {form} cannot be decoded: {REMEDY}'
                )
            fitted = pixels.fit(pixels.decode(data), height=self._height, width=self._width)
        except BadPicture as error:
            remedy = f': {REMEDY}' if error.reason == 'not_a_picture' else ''
            raise invalid_argument(f'{error}{remedy}') from error
        return np.asarray(fitted)
