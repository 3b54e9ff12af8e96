"""Finds blank pictures: once decoded, no channel varies by more than 8 of 255.

Decoding all pictures would cost twenty times the rest of a scan. A JPEG of one colour is short, at
any quality: its tables, and a few bits for each block of 8 x 8 values, which encode "no difference"
and "end of block" with the standard Huffman tables (ITU T.81, annex K). So only a JPEG of at most
1.5 times as many bits is decoded, first at an eighth of its size. This misses faint noise at
quality 90 and above, which only `--verify=decode` finds.
"""

from typing import Any, cast

from PIL import Image

from catalog.formats.image_header import Header

MAX_RANGE = 8  # of 255

_TABLES_BYTES = 512  # frame header, Huffman tables, scan header: 450 with the four standard tables
_LUMA_BITS, _CHROMA_BITS = 6, 4  # per block of one colour
_MARGIN = 1.5
_MAX_BITS_PER_PIXEL = _MARGIN * (_LUMA_BITS + 2 * _CHROMA_BITS) / 64


def is_long(frame_bytes: Any, width: Any, height: Any) -> Any:
    """Returns whether a JPEG is too long to be blank, for any chroma subsampling.

    Arguments are numbers or arrays.

    Args:
      frame_bytes: Size from the frame header on.
      width: Width in pixels.
      height: Height in pixels.
    """
    # Blocks at the edges are complete.
    return 8 * (frame_bytes - _TABLES_BYTES) > (width + 15) * (height + 15) * _MAX_BITS_PER_PIXEL


def is_short(data: bytes, header: Header) -> bool:
    """Returns whether a JPEG is short enough to be blank, from its frame header on."""
    if is_long(len(data) - header.frame, header.width, header.height):
        return False  # most pictures, without reading their chroma subsampling
    entropy_bits = 8 * (len(data) - header.frame - _TABLES_BYTES)
    sampling = data[header.frame + 11]  # of luma: horizontal and vertical, four bits each
    chroma = 2 * _CHROMA_BITS / max((sampling >> 4) * (sampling & 15), 1)
    width, height = header.width + 15, header.height + 15
    return entropy_bits <= _MARGIN * width * height / 64 * (_LUMA_BITS + chroma)


def is_blank(picture: Image.Image) -> bool:
    """Returns whether a decoded grey or RGB picture is blank."""
    return _widest_range(picture) <= MAX_RANGE


def may_be_blank(eighth: Image.Image) -> bool:
    """Returns whether a JPEG may be blank, by the means of its blocks of 8 x 8 pixels."""
    # A mean is within the range of its values; twice the range allows for chroma smoothing.
    return _widest_range(eighth) <= 2 * MAX_RANGE


def _widest_range(picture: Image.Image) -> int:
    extrema = [cast(tuple[int, int], channel.getextrema()) for channel in picture.split()]
    return max(high - low for low, high in extrema)
