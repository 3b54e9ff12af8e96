"""Says what the pixels of a picture are: the one rule for shards, training, evaluation, serving.

The picture stands upright by its EXIF orientation, its transparent parts are white, and of an
animation it is the first frame. Samples of more than 8 bits keep their highest 8. CMYK, palettes,
grey and 1-bit images become RGB as a viewer shows them. `trainer.pixels` gives the same pixels in
TensorFlow's operations. Colour profiles are ignored.
"""

import io
import re
import struct
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from catalog.formats import exif
from catalog.formats.bad_picture import BadPicture
from catalog.formats.image_header import MAX_PIXELS, SERVED_FORMATS, Header, read_header

JPEG_QUALITY = 95  # of converted pictures

# Large pictures are rejected by their headers. Pillow's own limit must not warn below that size.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# What Pillow's readers raise on damaged bytes, found by fuzzing: they parse with struct, indices
# and dictionaries, and its PNG reader raises SyntaxError.
_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
_ADDRESS = re.compile(r' ?<_io\.\w+ object at \w+>')  # differs in every run
_SHORT_SAMPLES = {'L;2': 3, 'L;4': 15}  # the largest sample, by how Pillow calls the layout
_WEBP_ANIMATION, _WEBP_ALPHA = 0x02, 0x10  # flags of the chunk VP8X

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,  # counterclockwise
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes) -> Image.Image:
    """Returns the pixels of a picture, an RGB image.

    Raises:
      BadPicture: If the bytes are not a usable image; nothing else.
    """
    return _decode(data, read_header(data))


def fit(image: Image.Image, *, height: int, width: int) -> Image.Image:
    """Scales an image to fit a size, with its aspect ratio, and centres it on white.

    As `trainer.data.preprocess.decode` does, which rounds once where Pillow rounds after each axis:
    values differ by at most 1. An image that has the size keeps its pixels.
    """
    if image.size == (width, height):
        return image
    sides = np.array([image.height, image.width], np.float32)
    scale = np.min(np.array([height, width], np.float32) / sides)
    rows, columns = np.maximum(np.rint(scale * sides).astype(int), 1).tolist()
    scaled = image.resize((columns, rows), Image.Resampling.BILINEAR)
    canvas = Image.new('RGB', (width, height), 'white')
    canvas.paste(scaled, ((width - columns) // 2, (height - rows) // 2))
    return canvas


def to_jpeg(data: bytes) -> bytes:
    """Returns a picture as an upright RGB JPEG, within the error of JPEG.

    Raises:
      BadPicture: If the bytes are not a usable image.
    """
    return _encode(decode(data), 'JPEG', quality=JPEG_QUALITY)


def to_png(data: bytes) -> bytes:
    """Returns a picture as an upright RGB PNG with the same pixels.

    Raises:
      BadPicture: If the bytes are not a usable image.
    """
    return _encode(decode(data), 'PNG', compress_level=1)


def to_served(data: bytes) -> bytes:
    """Returns bytes in a format that an exported model reads, with the same pixels.

    Raises:
      BadPicture: If the bytes are not a usable image.
    """
    return data if read_header(data).format in SERVED_FORMATS else to_png(data)


def decode_eighth(data: bytes) -> Image.Image:
    """Decodes a JPEG at an eighth of its size, to a grey or RGB image.

    Raises:
      BadPicture: If the bytes are not a usable image.
    """
    picture = _open(data, read_header(data), eighth=True)
    return picture if picture.mode in ('L', 'RGB') else picture.convert('RGB')


def _encode(image: Image.Image, form: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _decode(data: bytes, header: Header) -> Image.Image:
    try:
        picture = _open(data, header)
        rgb = _rgb(picture)
        if header.format == 'gif':
            rgb = _on_canvas(rgb, picture)
    except BadPicture:
        raise
    except _DECODER_ERRORS as error:
        raise _bad_picture(error) from error
    turn = _TRANSPOSITIONS.get(_orientation(picture, header))
    return rgb.transpose(turn) if turn is not None else rgb


def _open(data: bytes, header: Header, *, eighth: bool = False) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            if header.format == 'webp':
                data = _with_alpha(data)
            picture = Image.open(io.BytesIO(data), formats=[header.format.upper()])
            _check_size(picture)  # in some formats, the header of an embedded image decides
            if eighth:
                picture.draft(picture.mode, (1, 1))
            tiles = getattr(picture, 'tile', None)
            picture.info['tile'] = tiles[0] if tiles else None
            picture.load()
            _check_size(picture)
    except BadPicture:
        raise
    except _DECODER_ERRORS as error:
        raise _bad_picture(error) from error
    return picture


def _with_alpha(webp: bytes) -> bytes:
    """Marks an animation to have an alpha channel: its frames may leave parts of the canvas."""
    animated = webp[12:16] == b'VP8X' and webp[20] & _WEBP_ANIMATION
    if not animated:
        return webp
    return webp[:20] + bytes([webp[20] | _WEBP_ALPHA]) + webp[21:]


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise BadPicture(
            'too_large',
            f'an image must have at most {MAX_PIXELS} pixels, got {picture.width}x{picture.height}',
        )
    if picture.width < 1 or picture.height < 1:
        raise BadPicture('corrupt', 'an image must have at least one pixel')


def _bad_picture(error: Exception) -> BadPicture:
    if isinstance(error, UnidentifiedImageError):
        return BadPicture('corrupt', 'its header cannot be read')
    if isinstance(error, Image.DecompressionBombError):
        return BadPicture('too_large', str(error))
    text = _ADDRESS.sub('', str(error)) or type(error).__name__
    return BadPicture('corrupt', text)


def _orientation(picture: Image.Image, header: Header) -> int:
    if header.format == 'jpeg':
        return header.orientation
    if header.format == 'tiff':
        return exif.UPRIGHT  # Pillow has turned it
    data = picture.info.get('exif', b'')
    return exif.read_orientation(data) if isinstance(data, bytes) else exif.UPRIGHT


def _rgb(picture: Image.Image) -> Image.Image:
    """Returns an image on white, with 8 bits per sample."""
    transparent = picture.info.get('transparency')
    if picture.mode.startswith('I') or picture.mode == 'F':
        return _from_numbers(picture, transparent)
    if isinstance(transparent, tuple) and _has_16_bits(picture):
        picture.info['transparency'] = tuple(value >> 8 for value in transparent)
    if isinstance(transparent, int) and (most := _SHORT_SAMPLES.get(_layout(picture))):
        picture.info['transparency'] = (
            (transparent & most) * 255 // most
        )  # as Pillow scales samples
    if transparent is None and picture.mode not in ('RGBA', 'LA', 'PA', 'RGBa', 'La'):
        return picture.convert('RGB')
    visible = picture.convert('RGBA')
    ground = Image.new('RGB', visible.size, 'white')
    ground.paste(visible.convert('RGB'), mask=visible.getchannel('A'))  # rounds exactly
    return ground


def _layout(picture: Image.Image) -> str:
    """Returns how Pillow calls the layout of the samples of a PNG."""
    tile = picture.info['tile']
    return str(tile[3]) if tile else ''


def _has_16_bits(picture: Image.Image) -> bool:
    return '16' in str(picture.info['tile'])


def _from_numbers(picture: Image.Image, transparent: object) -> Image.Image:
    """Returns the grey image of numbers with more than 8 bits, on white.

    Integers that all fit in 16 bits are 16-bit samples, others have 32. Floating-point numbers
    range up to 1, or up to 255 if one is larger.
    """
    numbers = np.asarray(picture)
    if picture.mode == 'F':
        numbers = np.nan_to_num(numbers, nan=0)
        top = 1 if numbers.max() <= 1 else 255
        scaled = np.rint(np.clip(numbers, 0, top) * (255 // top))
    else:
        wide = numbers.dtype.itemsize > 2 and numbers.max() > 0xFFFF
        scaled = np.maximum(numbers, 0) >> (23 if wide else 8)  # int32 has 31 bits
    grey = scaled.astype(np.uint8)
    if isinstance(transparent, int):
        grey = np.where(numbers == transparent, np.uint8(255), grey)
    return Image.fromarray(grey).convert('RGB')


def _on_canvas(rgb: Image.Image, picture: Image.Image) -> Image.Image:
    """Makes white what the first frame of a GIF leaves of its canvas."""
    tile = picture.info['tile']
    if tile is None or tile[1] == (0, 0, *rgb.size):
        return rgb
    canvas = Image.new('RGB', rgb.size, 'white')
    canvas.paste(rgb.crop(tile[1]), tile[1])
    return canvas
