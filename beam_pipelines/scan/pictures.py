"""Inspects and hashes the bytes of pictures."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash

from beam_pipelines.scan import blank, jpeg_heads
from beam_pipelines.table import BLANK, CONVERT
from catalog import pixels
from catalog.formats import jpeg
from catalog.formats.image_header import BadPicture, check_shape, read_header

_MIN_VECTORISED = 16  # pictures; fewer are inspected one by one


def hashes128(pictures: Iterable[bytes | memoryview]) -> npt.NDArray[np.uint64]:
    """Returns the high and low half of each picture's XXH3-128, uint64 [pictures, 2]."""
    digests = b''.join(map(xxhash.xxh3_128_digest, pictures))
    return np.frombuffer(digests, '>u8').astype(np.uint64).reshape(-1, 2)


def inspect_pictures(
    data: bytes, places: npt.NDArray[np.int64], *, decode: bool
) -> tuple[npt.NDArray[np.uint8], dict[int, BadPicture]]:
    """Inspects many pictures, most of them at once.

    Args:
      data: Bytes that contain the pictures.
      places: Offset and length of each picture, int64 [pictures, 2].
      decode: Whether to decode every picture.

    Returns:
      The traits as of `inspect_picture`, uint8 [pictures], and the errors by number of the picture.
    """
    traits = np.zeros(len(places), np.uint8)
    errors = {}
    plain = np.zeros(len(places), bool)  # known to have no traits
    if not decode and len(places) >= _MIN_VECTORISED:
        heads = jpeg_heads.read_heads(data, places)
        frame_bytes = places[:, 1] - jpeg_heads.FRAME
        plain = heads.usual & blank.is_long(frame_bytes, heads.width, heads.height)
    for number in np.flatnonzero(~plain).tolist():
        offset, length = places[number].tolist()
        try:
            traits[number] = inspect_picture(data[offset : offset + length], decode=decode)
        except BadPicture as error:
            errors[number] = error
    return traits, errors


def inspect_picture(data: bytes, *, decode: bool) -> int:
    """Returns a picture's traits: the bits CONVERT and BLANK of `beam_pipelines.table`.

    A complete, upright grey or three-channel JPEG is kept byte for byte, with any bytes behind its
    end. All others must be converted by `catalog.pixels`.

    Args:
      data: The encoded picture.
      decode: Whether to decode every picture, or only those to be converted or possibly blank.

    Raises:
      BadPicture: With its reason, if the picture cannot be used.
    """
    header = read_header(data)
    check_shape(header)
    if header.plain_jpeg and not decode:
        if not blank.is_short(data, header):
            return 0
        # The means of its blocks cost a third as much, and are usually sufficient.
        if not blank.may_be_blank(pixels.decode_eighth(data)):
            return 0
    shown = pixels.decode(data)
    # Some files contradict their header: an ICO whose entry is a PNG of another size.
    check_shape(header._replace(width=shown.width, height=shown.height))
    # Pillow reads no further than the last row of pixels, other decoders up to the end marker.
    kept = header.plain_jpeg and not (decode and jpeg.find_end(data, header.scan) is None)
    return (0 if kept else CONVERT) | (BLANK if blank.is_blank(shown) else 0)
