"""Reads the headers of many JPEG images at once, if they have libjpeg's usual layout.

Only for speed: `image_header.read_header` returns the same at ten times the cost. The layout is
JFIF, two quantisation tables and a baseline frame (ITU T.81, annex B), each at a fixed offset.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.formats.image_header import MAX_PIXELS

FRAME = 158  # where the frame header begins
_HEAD_BYTES = FRAME + 10  # up to the number of channels
_FIXED = {
    0: b'\xff\xd8\xff\xe0\x00\x10',  # start of image, JFIF and its length
    20: b'\xff\xdb\x00\x43',  # a quantisation table
    89: b'\xff\xdb\x00\x43',  # another
    FRAME: b'\xff\xc0',
}
_POSITIONS = np.array([at + k for at, values in _FIXED.items() for k in range(len(values))])
_VALUES = np.frombuffer(b''.join(_FIXED.values()), np.uint8)
_END_OF_IMAGE = 0xFF, 0xD9


class Heads(NamedTuple):
    """The headers of N pictures.

    Attributes:
      usual: Whether the picture is complete, grey or three-channel, and has the usual layout, bool
        [N]. Where False, width and height are meaningless.
      width: Width in pixels, int64 [N].
      height: Height in pixels, int64 [N].
    """

    usual: npt.NDArray[np.bool_]
    width: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]


def read_heads(data: bytes, places: npt.NDArray[np.int64]) -> Heads:
    """Reads the headers of the pictures in `data` at `places`, (offset, length), int64 [N, 2]."""
    usual = places[:, 1] >= _HEAD_BYTES
    if not usual.any():
        nothing = np.zeros(len(places), np.int64)
        return Heads(usual, nothing, nothing)
    values = np.frombuffer(data, np.uint8)
    offset, length = np.where(usual[:, None], places, places[np.argmax(usual)]).T
    head = np.lib.stride_tricks.sliding_window_view(values, _HEAD_BYTES)[offset]  # [N, _HEAD_BYTES]
    height, width = (head[:, at : at + 2].astype(np.int64) @ (256, 1) for at in (163, 165))
    channels = head[:, -1]
    end = offset + length
    usual &= (head[:, _POSITIONS] == _VALUES).all(axis=1)
    usual &= (values[end - 2] == _END_OF_IMAGE[0]) & (values[end - 1] == _END_OF_IMAGE[1])
    usual &= (channels == 1) | (channels == 3)
    usual &= (width * height > 0) & (width * height <= MAX_PIXELS)
    return Heads(usual, width, height)
