"""Does a picture show anything? Blank: no channel varies by more than 8 of 255 once decoded.

Decoding all pictures would cost twenty times what the rest of a scan does. A JPEG of one colour is
short, whatever the colour and quality: its tables, and a few bits for each block of 8 x 8 values,
"no difference" and "nothing more", with the usual Huffman tables (ITU T.81, annex K). So only a
JPEG of at most 1.5 times as many bits is decoded, at an eighth of its size first. What that leaves
out is faint noise at quality 90 and more, which only `--verify=decode` finds.
"""

from typing import Any, cast

from PIL import Image

from catalog.formats.image_header import Header

MAX_RANGE = 8  # of 255

_TABLES_BYTES = 512  # frame header, Huffman tables, scan header: 450 where all four are the usual
_LUMA_BITS, _CHROMA_BITS = 6, 4  # a block of one colour
_MARGIN = 1.5
_MOST_BITS_A_PIXEL = _MARGIN * (_LUMA_BITS + 2 * _CHROMA_BITS) / 64


def is_long(frame_bytes: Any, width: Any, height: Any) -> Any:
    """Whether a JPEG is too long to be blank, however its colours are sampled.

    Numbers, or arrays of them: its bytes from the frame header on, and its pixels.
    """
    # Blocks at the edges are whole.
    return 8 * (frame_bytes - _TABLES_BYTES) > (width + 15) * (height + 15) * _MOST_BITS_A_PIXEL


def is_short(data: bytes, header: Header) -> bool:
    """Whether a JPEG is short enough to be blank, from its frame header on."""
    if is_long(len(data) - header.frame, header.width, header.height):
        return False  # most pictures, without a look at how their colours are sampled
    entropy_bits = 8 * (len(data) - header.frame - _TABLES_BYTES)
    sampling = data[header.frame + 11]  # of luma: horizontal and vertical, four bits each
    chroma = 2 * _CHROMA_BITS / max((sampling >> 4) * (sampling & 15), 1)
    width, height = header.width + 15, header.height + 15
    return entropy_bits <= _MARGIN * width * height / 64 * (_LUMA_BITS + chroma)


def is_blank(picture: Image.Image) -> bool:
    """Whether a decoded grey or RGB picture is blank."""
    return _widest_range(picture) <= MAX_RANGE


def may_be(eighth: Image.Image) -> bool:
    """Whether a JPEG may be blank, by the means of its blocks of 8 x 8 pixels."""
    # A mean lies between the values it is of; the double allows for the smoothing of colours.
    return _widest_range(eighth) <= 2 * MAX_RANGE


def _widest_range(picture: Image.Image) -> int:
    extrema = [cast(tuple[int, int], channel.getextrema()) for channel in picture.split()]
    return max(high - low for low, high in extrema)
