"""Reads the header of an encoded image: format, size, channels. Does not decode pixels.

JPEG: ITU T.81, annex B. PNG: ISO/IEC 15948. GIF: GIF89a. WebP: RFC 9649. BMP: BITMAPINFOHEADER.
"""

import struct
from typing import Literal, NamedTuple

Format = Literal['jpeg', 'png', 'gif', 'webp', 'bmp']

MAX_PIXELS = 1 << 26  # 67 megapixels, 201 MB of RGB; larger images are rejected by their header

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_IMAGE = b'\xff\xd9'


class BadPicture(ValueError):
    """Bytes that are not a usable image; `reason` is their key in the ledger."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Header(NamedTuple):  # one for every picture: a frozen dataclass takes three times as long
    """An image's header.

    Attributes:
      format: Format by magic bytes.
      width: Width in pixels.
      height: Height in pixels.
      channels: Channels of the encoded data; 0 if the header does not tell.
      complete: False if the data is truncated, as far as the header and the last bytes show.
      frame: Offset of a JPEG's frame header, after profiles, thumbnails and the like.
    """

    format: Format
    width: int
    height: int
    channels: int
    complete: bool = True
    frame: int = 0

    @property
    def plain_jpeg(self) -> bool:
        """Whether this is a complete grey or three-channel JPEG, which is kept byte for byte."""
        return self.format == 'jpeg' and self.channels in (1, 3) and self.complete


def read_header(data: bytes) -> Header:
    """Reads the header of an encoded image.

    Raises:
      BadPicture: `empty`, `not_a_picture`, `corrupt` or `too_large`.
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


def _parse(data: bytes) -> Header:
    if data.startswith(b'\xff\xd8'):
        return _jpeg(data)
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        width, height, _, color = struct.unpack_from('>IIBB', data, 16)
        channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(color, 0)
        return Header('png', width, height, channels, complete=b'IEND' in data[-12:])
    if data.startswith((b'GIF87a', b'GIF89a')):
        width, height = struct.unpack_from('<HH', data, 6)
        return Header('gif', width, height, 3)
    if data.startswith(b'RIFF') and data[8:12] == b'WEBP':
        return _webp(data)
    if data.startswith(b'BM'):
        width, height = struct.unpack_from('<ii', data, 18)
        return Header('bmp', width, abs(height), 3)
    raise BadPicture('not_a_picture', f'no known image format starts with {data[:4].hex()}')


def _jpeg(data: bytes) -> Header:
    # libjpeg's usual layout: JFIF, two tables, a baseline frame. The loop below would follow the
    # segments' lengths to the same offset.
    usual = (
        data[2:6] == b'\xff\xe0\x00\x10'
        and data[20:24] == b'\xff\xdb\x00\x43'
        and data[89:93] == b'\xff\xdb\x00\x43'
    )
    at = 158 if usual else 2
    while True:
        if data[at] != 0xFF:
            raise BadPicture('corrupt', f'a JPEG marker must be at byte {at}')
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            height, width, channels = struct.unpack_from('>HHB', data, at + 5)
            # Zero bytes after the end are harmless padding.
            complete = data.endswith(_END_OF_IMAGE) or data.rstrip(b'\0').endswith(_END_OF_IMAGE)
            return Header('jpeg', width, height, channels, complete, frame=at)
        elif marker in (0xD9, 0xDA):
            raise BadPicture('corrupt', 'a JPEG must have a frame header before its data')
        else:
            at += 2 + (data[at + 2] << 8 | data[at + 3])


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
