"""Reads the header of an encoded image: format, size, channels. Does not decode pixels.

PNG: ISO/IEC 15948. GIF: GIF89a. WebP: RFC 9649. BMP: BITMAPINFOHEADER.
"""

import struct
from typing import Literal, NamedTuple, get_args

from catalog.formats import containers, jpeg, other_headers
from catalog.formats.bad_picture import BadPicture
from catalog.formats.other_headers import OtherFormat

ServedFormat = Literal['jpeg', 'png', 'gif', 'webp']  # an exported model reads all of them
Format = ServedFormat | Literal['bmp'] | OtherFormat

SERVED_FORMATS: tuple[str, ...] = get_args(ServedFormat)
MAX_PIXELS = 1 << 26  # 67 megapixels, 201 MB of RGB; larger images are rejected by their header
MAX_ASPECT = 64  # of the longer side to the shorter one; 180 pixels become 3

_PNG_PALETTE = 3  # color type

__all__ = [
    'MAX_ASPECT',
    'MAX_PIXELS',
    'SERVED_FORMATS',
    'BadPicture',
    'Format',
    'Header',
    'check_shape',
    'read_header',
]


class Header(NamedTuple):  # one for every picture: a frozen dataclass takes three times as long
    """An image's header.

    Attributes:
      format: Format by magic bytes.
      width: Width in pixels, as stored.
      height: Height in pixels, as stored.
      channels: Channels of the encoded data; 0 if the header does not tell.
      complete: False if the data is truncated, as far as the header and the end marker show.
      frame: Offset of a JPEG's frame header, after profiles, thumbnails and the like.
      orientation: EXIF orientation of a JPEG, 1 to 8.
      strict: False if some decoders refuse the head of this JPEG.
      scan: Offset of a JPEG's first scan header.
    """

    format: Format
    width: int
    height: int
    channels: int
    complete: bool = True
    frame: int = 0
    orientation: int = 1
    strict: bool = True
    scan: int = 0

    @property
    def plain_jpeg(self) -> bool:
        """Whether every decoder reads this upright grey or three-channel JPEG as it is stored."""
        return (
            self.format == 'jpeg'
            and self.channels in (1, 3)
            and self.complete
            and self.orientation == 1
            and self.strict
        )


def read_header(data: bytes) -> Header:
    """Reads the header of an encoded image.

    Raises:
      BadPicture: `empty`, `not_a_picture`, `corrupt`, `too_large`, `heic` or `unsupported`.
    """
    if not data:
        raise BadPicture('empty', 'an image must have at least one byte, got none')
    try:
        header = _parse(data)
    except (struct.error, IndexError) as error:
        raise BadPicture('corrupt', f'the header is truncated after {len(data)} bytes') from error
    if header.width < 1 or header.height < 1:
        raise BadPicture(
            'corrupt',
            f'an image must have at least one pixel, got {header.width}x{header.height}',
        )
    if header.width * header.height > MAX_PIXELS:
        raise BadPicture(
            'too_large',
            f'an image must have at most {MAX_PIXELS} pixels, got {header.width}x{header.height}',
        )
    return header


def check_shape(header: Header) -> None:
    """Checks that an image can be a JPEG and can be scaled to the size of a model.

    Raises:
      BadPicture: `too_wide` or `too_thin`.
    """
    size = f'{header.width}x{header.height}'
    shorter, longer = sorted((header.width, header.height))
    if longer > jpeg.MAX_SIDE:
        raise BadPicture(
            'too_wide',
            f'the sides of an image must have at most {jpeg.MAX_SIDE} pixels, got {size}',
        )
    if longer > MAX_ASPECT * shorter:
        raise BadPicture(
            'too_thin',
            f'an image must be at most {MAX_ASPECT} times as long as it is wide, got {size}',
        )


def _parse(data: bytes) -> Header:
    if data.startswith(b'\xff\xd8'):
        head = jpeg.read_head(data)
        complete = jpeg.has_end(data, head.scan)
        width, height, channels, frame, scan, orientation, strict = head
        return Header('jpeg', width, height, channels, complete, frame, orientation, strict, scan)
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return _png(data)
    if data.startswith((b'GIF87a', b'GIF89a')):
        return _gif(data)
    if data.startswith(b'RIFF') and data[8:12] == b'WEBP':
        return _webp(data)
    if data.startswith(b'BM'):
        (core,) = struct.unpack_from('<I', data, 14)  # 12: OS/2
        width, height = struct.unpack_from('<HH' if core == 12 else '<ii', data, 18)
        return Header('bmp', width, abs(height), 3)
    if other := other_headers.read_header(data):
        return Header(*other, channels=0)
    known = containers.recognize(data[: containers.HEAD_BYTES])
    got = known[0] if known else f'bytes that start with {data[:4].hex()}'
    raise BadPicture('not_a_picture', f'an image must have a known format, got {got}')


def _png(data: bytes) -> Header:
    width, height, _, color = struct.unpack_from('>IIBB', data, 16)
    if color == _PNG_PALETTE:
        _check_palette(data)
    channels = {0: 1, 2: 3, _PNG_PALETTE: 3, 4: 2, 6: 4}.get(color, 0)
    return Header('png', width, height, channels, complete=b'IEND' in data[-12:])


def _check_palette(png: bytes) -> None:
    """Checks that a palette comes first: Pillow draws an image without one in grey.

    Transparency before it is used by some decoders, and ignored by others.
    """
    at, kind = 33, b''  # behind IHDR
    while kind not in (b'PLTE', b'tRNS', b'IDAT'):
        length, kind = struct.unpack_from('>I4s', png, at)
        at += 12 + length
    if kind != b'PLTE' or length % 3 or not length:
        raise BadPicture('corrupt', 'a PNG with palette indices must begin with a palette')


def _gif(data: bytes) -> Header:
    """Reads the size of the canvas: the logical screen, or the first frame where it is larger."""
    width, height, flags = struct.unpack_from('<HHB', data, 6)
    palette = flags & 0x80
    at = 13 + (3 << (flags & 7) + 1 if palette else 0)
    while data[at] != 0x2C:  # the image separator
        if data[at] != 0x21:
            raise BadPicture('corrupt', f'a GIF must have an image, got a block {data[at]:#04x}')
        at += 2
        while length := data[at]:
            at += 1 + length
        at += 1
    left, top, columns, rows, flags = struct.unpack_from('<HHHHB', data, at + 1)
    if not (palette or flags & 0x80):
        raise BadPicture('corrupt', 'a GIF must have a palette, got none')
    if not (columns and rows):
        raise BadPicture('corrupt', f'a GIF frame must have pixels, got {columns}x{rows}')
    return Header('gif', max(width, left + columns), max(height, top + rows), 3)


def _webp(data: bytes) -> Header:
    (riff_bytes,) = struct.unpack_from('<I', data, 4)
    complete = len(data) >= riff_bytes + 8
    chunk = data[12:16]
    if chunk == b'VP8 ':
        width, height = struct.unpack_from('<HH', data, 26)
        return Header('webp', width & 0x3FFF, height & 0x3FFF, 3, complete=complete)
    if chunk == b'VP8L':
        (bits,) = struct.unpack_from('<I', data, 21)
        return Header('webp', (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4, complete=complete)
    if chunk == b'VP8X':
        width = int.from_bytes(data[24:27], 'little') + 1
        height = int.from_bytes(data[27:30], 'little') + 1
        return Header('webp', width, height, 0, complete=complete)
    raise BadPicture('corrupt', f'a WebP chunk must be VP8, VP8L or VP8X, got {chunk!r}')
