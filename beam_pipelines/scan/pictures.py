"""Inspects, hashes and converts the bytes of pictures."""

import io
import warnings
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash
from PIL import Image, UnidentifiedImageError

from beam_pipelines.scan import blank, jpeg_heads
from beam_pipelines.table import BLANK, CONVERT
from catalog.formats.image_header import MAX_PIXELS, BadPicture, read_header

JPEG_QUALITY = 95  # of converted pictures

_MIN_VECTORISED = 16  # pictures; fewer are inspected one by one

# Large pictures are rejected by their headers. Pillow's own limit must not warn below that size.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


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

    A complete grey or three-channel JPEG is kept byte for byte. All others must be converted.

    Args:
      data: The encoded picture.
      decode: Whether to decode every picture, or only those to be converted or possibly blank.

    Raises:
      BadPicture: With its reason, if the picture cannot be used.
    """
    header = read_header(data)
    if header.plain_jpeg and not decode:
        if not blank.is_short(data, header):
            return 0
        # The means of its blocks cost a third as much, and are usually sufficient.
        if not blank.may_be_blank(_decode(data, eighth=True)):
            return 0
    decoded = _decode(data)
    # A truncated JPEG that libjpeg decodes completely only lacks its end marker.
    kept = header.plain_jpeg and decoded.mode in ('L', 'RGB')
    shown = decoded if kept else _rgb(decoded)
    return (0 if kept else CONVERT) | (BLANK if blank.is_blank(shown) else 0)


def to_rgb_jpeg(data: bytes) -> bytes:
    """Returns a valid picture as an RGB JPEG, with transparent parts on white."""
    file = io.BytesIO()
    _rgb(_decode(data)).save(file, 'JPEG', quality=JPEG_QUALITY)
    return file.getvalue()


def _rgb(decoded: Image.Image) -> Image.Image:
    if decoded.mode in ('RGBA', 'LA', 'PA') or 'transparency' in decoded.info:
        decoded = decoded.convert('RGBA')
        ground = Image.new('RGBA', decoded.size, 'white')
        decoded = Image.alpha_composite(ground, decoded)
    return decoded.convert('RGB')


def _decode(data: bytes, *, eighth: bool = False) -> Image.Image:
    """Decodes a picture. `eighth` decodes a JPEG at an eighth of its size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            picture = Image.open(io.BytesIO(data))
            if eighth:
                picture.draft(picture.mode, (1, 1))
            picture.load()
    except UnidentifiedImageError as error:
        # Pillow's message contains a memory address, which differs in every run.
        raise BadPicture('corrupt', 'its header cannot be read') from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # Pillow's PNG reader raises SyntaxError for a broken file.
        raise BadPicture('corrupt', str(error)) from error
    return picture
