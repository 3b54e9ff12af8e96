"""Reads the structure of a JPEG: its segments, its frame header, its end (ITU T.81, annex B)."""

import re
import struct
from typing import NamedTuple

from catalog.formats import exif
from catalog.formats.bad_picture import BadPicture

MAX_SIDE = 65_500  # pixels; libjpeg's limit, slightly below that of the format

# Sampling factors that TurboJPEG has a name for; it refuses the others.
SAMPLINGS = frozenset(
    {
        *((luma, 0x11, 0x11) for luma in (0x11, 0x12, 0x14, 0x21, 0x22, 0x41)),
        (0x22, 0x12, 0x12),
        (0x22, 0x21, 0x21),
    }
)

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_READABLE_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # arithmetic coding is
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SEGMENTS = frozenset({*range(0xE0, 0xF0), 0xFE, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
_EXIF = b'Exif\0\0'
_END = b'\xff\xd9'
_JFIF_1 = b'JFIF\0\x01'
_ADOBE_TRANSFORMS = (0, 1)  # RGB and YCbCr

# In entropy-coded data, a marker is 0xFF before a byte that is neither stuffing nor a restart.
_MARKER_IN_SCAN = re.compile(rb'\xff+([^\x00\xff\xd0-\xd7])')


class JpegHead(NamedTuple):
    """What a JPEG says before its data.

    Attributes:
      width: Width in pixels, as stored.
      height: Height in pixels, as stored.
      channels: Number of components.
      frame: Offset of the frame header.
      scan: Offset of the first scan header.
      orientation: EXIF orientation, 1 to 8.
      strict: Whether every decoder reads this head: no bytes between segments, usual sampling.
    """

    width: int
    height: int
    channels: int
    frame: int
    scan: int
    orientation: int
    strict: bool


def read_head(data: bytes) -> JpegHead:
    """Reads a JPEG up to its first scan.

    Raises:
      BadPicture: `corrupt`, or `unsupported` for 12-bit, lossless and hierarchical JPEG.
      struct.error, IndexError: If the head is truncated.
    """
    # libjpeg's usual layout: JFIF, two tables, a baseline frame. The loop below would follow the
    # segments' lengths to the same offset.
    usual = (
        data[2:6] == b'\xff\xe0\x00\x10'
        and data[20:24] == b'\xff\xdb\x00\x43'
        and data[89:93] == b'\xff\xdb\x00\x43'
    )
    at = 158 if usual and data[6:12] == _JFIF_1 else 2
    frame, width, height, channels = 0, 0, 0, 0
    orientation, strict = 0, True
    while True:
        if frame and at + 6 > len(data):  # truncated; no scan, so no decoder reads it
            return JpegHead(width, height, channels, frame, at, orientation or 1, False)
        if data[at] != 0xFF:  # libjpeg skips to the next marker, with a warning
            at, strict = _next_marker(data, at), False
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        (length,) = struct.unpack_from('>H', data, at + 2)
        if marker in _START_OF_FRAME:
            if frame:
                raise BadPicture('corrupt', 'a JPEG must have one frame header, got two')
            frame = at
            precision, height, width, channels = struct.unpack_from('>BHHB', data, at + 4)
            _check_frame(marker, precision)
            if length != 8 + 3 * channels:
                raise BadPicture('corrupt', 'the frame header of a JPEG has a wrong length')
            sampling = tuple(data[at + 11 : at + 11 + 3 * channels : 3])
            strict &= channels != 3 or sampling in SAMPLINGS
        elif marker == 0xDA:
            if not frame:
                raise BadPicture('corrupt', 'a JPEG must have a frame header before its data')
            scans = data[at + 4]
            strict &= 1 <= scans <= channels and length == 6 + 2 * scans
            return JpegHead(width, height, channels, frame, at, orientation or 1, strict)
        elif marker not in _SEGMENTS:
            raise BadPicture('corrupt', f'a JPEG must have known markers, got {marker:#04x}')
        elif marker == 0xE1 and not orientation and data[at + 4 : at + 10] == _EXIF:
            orientation = exif.read_orientation(data[at + 10 : at + 2 + length])
        elif marker in (0xE0, 0xEE) and strict:
            strict = _is_known_profile(data[at + 4 : at + 2 + length])
        if length < 2:
            raise BadPicture('corrupt', f'a JPEG segment must have 2 bytes or more, got {length}')
        at += 2 + length


def _is_known_profile(segment: bytes) -> bool:
    """Returns whether simplejpeg takes this APP0 or APP14: libjpeg warns of unknown revisions."""
    if segment.startswith(b'JFIF\0') and len(segment) >= 14:
        return segment.startswith(_JFIF_1)
    if segment.startswith(b'Adobe') and len(segment) >= 12:
        return segment[11] in _ADOBE_TRANSFORMS
    return True


def _check_frame(marker: int, precision: int) -> None:
    remedy = 'no decoder reads it; convert it to a baseline JPEG'
    if precision != 8:
        raise BadPicture('unsupported', f'a JPEG with {precision} bits per sample: {remedy}')
    if marker not in _READABLE_FRAMES:
        raise BadPicture('unsupported', f'a lossless or hierarchical JPEG: {remedy}')


def _next_marker(data: bytes, at: int) -> int:
    at = data.find(b'\xff', at)
    while at >= 0 and data[at + 1] == 0:
        at = data.find(b'\xff', at + 2)
    if at < 0:
        raise BadPicture('corrupt', 'a JPEG must have a marker before its data')
    return at


def has_end(data: bytes, scan: int) -> bool:
    """Returns whether a JPEG has its end marker, from its last bytes or else by `find_end`.

    Args:
      data: The JPEG, and any bytes that follow its end.
      scan: Offset of the first scan header.
    """
    return data.endswith(_END) or find_end(data, scan) is not None


def find_end(data: bytes, scan: int) -> int | None:
    """Walks through the scans of a JPEG. Returns where it ends, or None if it does not.

    Bytes behind the end, which phones and cameras append, are not read.

    Args:
      data: The JPEG.
      scan: Offset of the first scan header.
    """
    at = scan
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker == 0xFF:
            at += 1
        elif marker == 0xDA or marker in _SEGMENTS:
            at += 2 + (data[at + 2] << 8 | data[at + 3])
            if marker == 0xDA:
                found = _MARKER_IN_SCAN.search(data, at)
                if found is None:
                    return None
                at = found.end() - 2
        else:
            return None
    return at + 2 if data[at : at + 2] == _END else None
