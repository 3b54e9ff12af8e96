"""One picture's bytes: usable as they are, to be converted, or refused; and their hash."""

import io
import warnings

import xxhash
from PIL import Image, UnidentifiedImageError

from catalog.picture import MAX_PIXELS, BadPicture, read_header

JPEG_QUALITY = 95  # of pictures that had to be converted

# A picture is refused by its header before Pillow sees it; its own limit must not warn below that.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def hash128(data: bytes) -> tuple[int, int]:
    """XXH3-128 of a picture's bytes, as (high, low) 64-bit halves."""
    digest = xxhash.xxh3_128_intdigest(data)
    return digest >> 64, digest & 0xFFFFFFFFFFFFFFFF


def must_convert(data: bytes, *, decode: bool) -> bool:
    """Whether a picture must become an RGB JPEG; a whole grey or three-channel JPEG need not.

    Args:
      data: the encoded picture.
      decode: decodes every picture; otherwise only those that must be converted.

    Raises:
      BadPicture: with its reason, if the picture cannot be used.
    """
    header = read_header(data)
    if header.plain_jpeg and not decode:
        return False
    decoded = _decode(data)
    # A cut-off JPEG that libjpeg still decodes whole only lacks its end marker.
    return not (header.plain_jpeg and decoded.mode in ('L', 'RGB'))


def to_rgb_jpeg(data: bytes) -> bytes:
    """A legal picture as an RGB JPEG, transparent parts on white."""
    decoded = _decode(data)
    if decoded.mode in ('RGBA', 'LA', 'PA') or 'transparency' in decoded.info:
        decoded = decoded.convert('RGBA')
        ground = Image.new('RGBA', decoded.size, 'white')
        decoded = Image.alpha_composite(ground, decoded)
    file = io.BytesIO()
    decoded.convert('RGB').save(file, 'JPEG', quality=JPEG_QUALITY)
    return file.getvalue()


def _decode(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            picture = Image.open(io.BytesIO(data))
            picture.load()
    except UnidentifiedImageError as error:
        # Its own message names an address in memory, other in every run.
        raise BadPicture('corrupt', 'its header cannot be read') from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # SyntaxError is what Pillow's PNG reader raises for a broken file.
        raise BadPicture('corrupt', str(error)) from error
    return picture
