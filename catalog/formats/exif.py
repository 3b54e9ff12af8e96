"""Reads the orientation of an image from its EXIF data.

EXIF 2.32, section 4.6: a TIFF whose first directory (IFD0) may have the tag Orientation.
"""

import struct

UPRIGHT = 1

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12


def read_orientation(exif: bytes) -> int:
    """Returns the orientation, 1 to 8, of EXIF data with or without its `Exif` prefix.

    Damaged data, or data without an orientation, is upright.
    """
    tiff = exif.removeprefix(b'Exif\0\0')
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (at,) = struct.unpack_from(order + 'I', tiff, 4)
    if at + 2 > len(tiff):
        return UPRIGHT
    (entries,) = struct.unpack_from(order + 'H', tiff, at)
    for entry in range(at + 2, at + 2 + entries * _ENTRY_BYTES, _ENTRY_BYTES):
        if entry + _ENTRY_BYTES > len(tiff):
            break
        tag, kind, _, value = struct.unpack_from(order + 'HHIH', tiff, entry)
        if tag == _ORIENTATION and kind == _SHORT:
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
