"""Pictures' bytes: usable as they are, to be converted, blank, or refused; and their hashes."""

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

JPEG_QUALITY = 95  # of pictures that had to be converted

_WORTH_ARRAYS = 16  # pictures; fewer are looked at one by one

# A picture is refused by its header before Pillow sees it; its own limit must not warn below that.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def hashes128(pictures: Iterable[bytes | memoryview]) -> npt.NDArray[np.uint64]:
    """XXH3-128 of each picture's bytes: its high and low half, uint64 [pictures, 2]."""
    digests = b''.join(map(xxhash.xxh3_128_digest, pictures))
    return np.frombuffer(digests, '>u8').astype(np.uint64).reshape(-1, 2)


def traits_of(
    data: bytes, places: npt.NDArray[np.int64], *, decode: bool
) -> tuple[npt.NDArray[np.uint8], dict[int, BadPicture]]:
    """What `traits` says of many pictures; most are seen to have none all at once.

    Args:
      data: that the pictures lie in.
      places: offset and length of each, int64 [pictures, 2].
      decode: decodes every picture.

    Returns:
      the traits, uint8 [pictures]; by number of the picture, why one cannot be used.
    """
    found = np.zeros(len(places), np.uint8)
    errors = {}
    none = np.zeros(len(places), bool)
    if not decode and len(places) >= _WORTH_ARRAYS:
        heads = jpeg_heads.read(data, places)
        frame_bytes = places[:, 1] - jpeg_heads.FRAME
        none = heads.usual & blank.is_long(frame_bytes, heads.width, heads.height)
    for number in np.flatnonzero(~none).tolist():
        at, size = places[number].tolist()
        try:
            found[number] = traits(data[at : at + size], decode=decode)
        except BadPicture as error:
            errors[number] = error
    return found, errors


def traits(data: bytes, *, decode: bool) -> int:
    """What is to be known of a picture: bits CONVERT and BLANK of `beam_pipelines.table`.

    A whole grey or three-channel JPEG is kept as it is; any other picture must be converted.

    Args:
      data: the encoded picture.
      decode: decodes every picture; otherwise only those that must be converted or may be blank.

    Raises:
      BadPicture: with its reason, if the picture cannot be used.
    """
    header = read_header(data)
    if header.plain_jpeg and not decode:
        if not blank.is_short(data, header):
            return 0
        # The means of its blocks come at a third of the cost, and mostly tell.
        if not blank.may_be(_decode(data, eighth=True)):
            return 0
    decoded = _decode(data)
    # A cut-off JPEG that libjpeg still decodes whole only lacks its end marker.
    as_it_is = header.plain_jpeg and decoded.mode in ('L', 'RGB')
    shown = decoded if as_it_is else _rgb(decoded)
    return (0 if as_it_is else CONVERT) | (BLANK if blank.is_blank(shown) else 0)


def to_rgb_jpeg(data: bytes) -> bytes:
    """A legal picture as an RGB JPEG, transparent parts on white."""
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
    """The decoded picture; of a JPEG at an eighth of its size, if that is enough."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            picture = Image.open(io.BytesIO(data))
            if eighth:
                picture.draft(picture.mode, (1, 1))
            picture.load()
    except UnidentifiedImageError as error:
        # Its own message names an address in memory, other in every run.
        raise BadPicture('corrupt', 'its header cannot be read') from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # SyntaxError is what Pillow's PNG reader raises for a broken file.
        raise BadPicture('corrupt', str(error)) from error
    return picture
