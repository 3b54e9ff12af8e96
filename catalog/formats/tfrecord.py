"""Reads and writes TFRecord framing: length, masked CRC-32C of it, data, masked CRC-32C of it.

Specification: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt

FRAME_BYTES = 16  # overhead per record

_HEADER = struct.Struct('<QI')
_FOOTER = struct.Struct('<I')
_LENGTH = struct.Struct('<Q')
_MASK_DELTA = 0xA282EAD8


class CorruptRecord(ValueError):
    """A record that is truncated, or whose length or checksum is wrong."""


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """Frames a record: adds its length and checksums."""
    return frames([record])


def frames(records: Sequence[bytes]) -> bytes:
    """Frames records and concatenates them."""
    headers = np.empty(len(records), [('length', '<u8'), ('crc', '<u4')])
    headers['length'] = [len(record) for record in records]
    lengths = headers['length'].tobytes()
    headers['crc'] = _masked_crcs(lengths[at : at + 8] for at in range(0, len(lengths), 8))
    footers = _masked_crcs(records)
    pieces = zip(_cut(headers), records, _cut(footers), strict=True)
    return b''.join(itertools.chain.from_iterable(pieces))


def _masked_crcs(pieces: Iterable[bytes]) -> npt.NDArray[np.uint32]:
    crcs = np.array([google_crc32c.value(piece) for piece in pieces], np.uint32)
    return (crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(_MASK_DELTA)


def _cut(values: npt.NDArray[Any]) -> list[bytes]:
    """Returns the bytes of each value."""
    size, data = values.itemsize, values.tobytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


def is_header(head: bytes) -> bool:
    """Returns whether bytes begin with the length of a record and its right checksum."""
    if len(head) < _HEADER.size:
        return False
    return bool(_masked_crc(head[: _LENGTH.size]) == _HEADER.unpack_from(head)[1])


def read(file: BinaryIO) -> Iterator[bytes]:
    """Yields the records of an open, uncompressed TFRecord file.

    Raises:
      CorruptRecord: At the first damaged record, with its offset in bytes.
    """
    offset = 0
    while header := file.read(_HEADER.size):
        if len(header) < _HEADER.size:
            raise CorruptRecord(f'record at byte {offset}: truncated within its header')
        length, length_crc = _HEADER.unpack(header)
        if _masked_crc(header[: _LENGTH.size]) != length_crc:
            raise CorruptRecord(f'record at byte {offset}: wrong checksum of the length')
        body = file.read(length + _FOOTER.size)
        if len(body) < length + _FOOTER.size:
            raise CorruptRecord(f'record at byte {offset}: truncated, expected {length} bytes')
        record = body[:length]
        if _masked_crc(record) != _FOOTER.unpack_from(body, length)[0]:
            raise CorruptRecord(f'record at byte {offset}: wrong checksum of the data')
        yield record
        offset += FRAME_BYTES + length
