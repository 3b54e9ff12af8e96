"""TFRecord framing: length, masked CRC-32C of the length, data, masked CRC-32C of the data.

Specification: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import functools
import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

FRAME_BYTES = 16  # what framing adds to a record

_HEADER = struct.Struct('<QI')
_FOOTER = struct.Struct('<I')
_LENGTH = struct.Struct('<Q')
_MASK_DELTA = 0xA282EAD8


class CorruptRecord(ValueError):
    """A record whose length or checksum is wrong, or that is cut off."""


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """A record with its length and checksums around it."""
    return b''.join(frame_pieces(record))


def frame_pieces(record: bytes) -> tuple[bytes, bytes, bytes]:
    """`frame` in pieces: what comes before the record, the record itself, what comes after."""
    return _header(len(record)), record, _FOOTER.pack(_masked_crc(record))


@functools.lru_cache(1 << 16)  # lengths come again and again
def _header(record_bytes: int) -> bytes:
    length = _LENGTH.pack(record_bytes)
    return length + _FOOTER.pack(_masked_crc(length))


def read(file: BinaryIO) -> Iterator[bytes]:
    """Yields the records of an open, uncompressed TFRecord file.

    Raises:
      CorruptRecord: at the first record that is damaged, with its offset in bytes.
    """
    offset = 0
    while header := file.read(_HEADER.size):
        if len(header) < _HEADER.size:
            raise CorruptRecord(f'record at byte {offset}: cut off within its header')
        length, length_crc = _HEADER.unpack(header)
        if _masked_crc(header[: _LENGTH.size]) != length_crc:
            raise CorruptRecord(f'record at byte {offset}: wrong checksum of its length')
        body = file.read(length + _FOOTER.size)
        if len(body) < length + _FOOTER.size:
            raise CorruptRecord(f'record at byte {offset}: cut off, {length} bytes expected')
        record = body[:length]
        if _masked_crc(record) != _FOOTER.unpack_from(body, length)[0]:
            raise CorruptRecord(f'record at byte {offset}: wrong checksum of its data')
        yield record
        offset += FRAME_BYTES + length
