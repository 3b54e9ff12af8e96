"""Reads the size of images in formats that the shard job converts and TensorFlow does not read.

AVIF and HEIC: ISO/IEC 23008-12. JPEG 2000: ISO/IEC 15444-1, annexes A and I. TIFF 6.0 and BigTIFF.
"""

import re
import struct
from typing import Literal, NamedTuple

from catalog.formats.bad_picture import BadPicture

OtherFormat = Literal[
    'avif', 'jpeg2000', 'tiff', 'ppm', 'psd', 'ico', 'qoi', 'dds', 'sgi', 'sun', 'pcx', 'tga'
]  # fmt: skip

_JPEG_XL = (b'\xff\x0a', b'\0\0\0\x0cJXL \r\n\x87\n')
_TAG_BYTES = {3: 2, 4: 4, 16: 8}  # SHORT, LONG, LONG8
_HEIC_BRANDS = frozenset(
    {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'hevm', b'hevs', b'mif1', b'msf1'}
)
_SPATIAL_EXTENTS = re.compile(rb'ispe\0\0\0\0(.{8})', re.DOTALL)
_NETPBM = re.compile(rb'P[1-7fF](?:\s|#[^\r\n]*)+(\d+)(?:\s|#[^\r\n]*)+(\d+)\s')
_PAM = re.compile(rb'P7\s.*?WIDTH\s+(\d+)\s+HEIGHT\s+(\d+)\s', re.DOTALL)


class OtherHeader(NamedTuple):
    """Format, width and height in pixels."""

    format: OtherFormat
    width: int
    height: int


def read_header(data: bytes) -> OtherHeader | None:
    """Reads the header of an image. Returns None if no format is recognised.

    Raises:
      BadPicture: `heic`, `corrupt`, or `unsupported`.
      struct.error, IndexError: If the header is truncated.
    """
    if data[4:8] == b'ftyp':
        return _isobmff(data)
    if data.startswith(_JPEG_XL):
        raise BadPicture('unsupported', 'a JPEG XL image: no decoder reads it; convert it to JPEG')
    if data.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return _tiff(data)
    if data.startswith(b'\0\0\0\x0cjP  \r\n\x87\n'):
        at = data.index(b'ihdr') if b'ihdr' in data[:4096] else len(data)
        height, width = struct.unpack_from('>II', data, at + 4)
        return OtherHeader('jpeg2000', width, height)
    if data.startswith(b'\xff\x4f\xff\x51'):
        right, bottom, left, top = struct.unpack_from('>IIII', data, 8)
        return OtherHeader('jpeg2000', right - left, bottom - top)
    if found := (_PAM if data.startswith(b'P7') else _NETPBM).match(data[:4096]):
        return OtherHeader('ppm', int(found[1]), int(found[2]))
    if data.startswith(b'8BPS\0\1'):
        height, width = struct.unpack_from('>II', data, 14)
        return OtherHeader('psd', width, height)
    if data.startswith(b'\0\0\1\0') and data[4:6] != b'\0\0':
        (count,) = struct.unpack_from('<H', data, 4)
        sides = [struct.unpack_from('BB', data, 6 + 16 * number) for number in range(count)]
        width, height = max(((w or 256, h or 256) for w, h in sides), key=lambda s: s[0] * s[1])
        return OtherHeader('ico', width, height)
    if data.startswith(b'qoif'):
        return OtherHeader('qoi', *struct.unpack_from('>II', data, 4))
    if data.startswith(b'DDS \x7c\0\0\0'):
        height, width = struct.unpack_from('<II', data, 12)
        return OtherHeader('dds', width, height)
    if data.startswith(b'\x01\xda'):
        return OtherHeader('sgi', *struct.unpack_from('>HH', data, 6))
    if data.startswith(b'\x59\xa6\x6a\x95'):
        return OtherHeader('sun', *struct.unpack_from('>II', data, 4))
    if data.startswith((b'\n\0\1', b'\n\2\1', b'\n\3\1', b'\n\5\1')):
        left, top, right, bottom = struct.unpack_from('<HHHH', data, 4)
        return OtherHeader('pcx', right - left + 1, bottom - top + 1)
    if data.endswith(b'TRUEVISION-XFILE.\0'):
        return OtherHeader('tga', *struct.unpack_from('<HH', data, 12))
    return None


def _isobmff(data: bytes) -> OtherHeader | None:
    (box_bytes,) = struct.unpack_from('>I', data)
    box = data[8 : min(box_bytes, 4096)]
    brands = {box[at : at + 4] for at in (0, *range(8, len(box), 4))}
    if not brands & {b'avif', b'avis'}:
        if brands & _HEIC_BRANDS:
            raise BadPicture('heic', 'a HEIC image cannot be read; convert it to JPEG')
        return None
    sizes = [struct.unpack('>II', found[1]) for found in _SPATIAL_EXTENTS.finditer(data)]
    if not sizes:
        raise BadPicture('corrupt', 'an AVIF must have its size in a box ispe, got none')
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return OtherHeader('avif', width, height)


def _tiff(data: bytes) -> OtherHeader:
    order = '<' if data[0] == ord('I') else '>'
    big = b'+' in data[2:4]
    (at,) = (
        struct.unpack_from(order + 'Q', data, 8)
        if big
        else struct.unpack_from(order + 'I', data, 4)
    )
    (entries,) = struct.unpack_from(order + ('Q' if big else 'H'), data, at)
    at += 8 if big else 2
    entry_bytes, value_at = (20, 12) if big else (12, 8)
    size = {}
    for entry in range(at, min(at + entries * entry_bytes, len(data)), entry_bytes):
        tag, kind = struct.unpack_from(order + 'HH', data, entry)
        if tag in (256, 257) and kind in _TAG_BYTES:
            form = {2: 'H', 4: 'I', 8: 'Q'}[_TAG_BYTES[kind]]
            (size[tag],) = struct.unpack_from(order + form, data, entry + value_at)
    if len(size) < 2:
        raise BadPicture('corrupt', 'a TIFF must have its width and height in its first directory')
    return OtherHeader('tiff', size[256], size[257])
