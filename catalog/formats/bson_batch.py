"""Parses many BSON product documents at once, if they have the layout of Kaggle's files.

An optimization only: `bson_document.parse` gives the same products at five times the cost. In this
layout `_id`, `imgs` and `category_id` come in this order, numbers are int32, and an entry of `imgs`
holds only a picture, so that each field has a fixed place before or after the pictures.
"""

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.formats import bson_document

Int64s = npt.NDArray[np.int64]

_LENGTH = struct.Struct('<i')
# NumPy compares byte strings without trailing zeros, so these fields include the names' zeros.
_HEAD = np.dtype(
    [('length', '<i4'), ('id', 'S5'), ('product_id', '<i4'), ('imgs', 'S6'), ('imgs_length', '<i4')]
)
_ENTRY = np.dtype(
    [
        ('kind', 'u1'),
        ('key', 'S2'),
        ('length', '<i4'),
        ('name', 'S9'),
        ('bytes', '<i4'),
        ('subtype', 'u1'),
    ]
)
_TAIL = np.dtype(
    [('imgs_end', 'u1'), ('name', 'S13'), ('category_id', '<i4'), ('terminator', 'u1')]
)
_INDICES = tuple(b'%d' % index for index in range(10))
_KEY_BYTES = 3  # an entry's type and key, which precede its length
_LEAST_BYTES = _HEAD.itemsize + _ENTRY.itemsize + 1 + _TAIL.itemsize


class Documents(NamedTuple):
    """N consecutive documents with P pictures.

    Attributes:
      starts: Offset of each document in the data, int64 [N].
      end: Offset after the last document.
      product_ids: int64 [N].
      category_ids: int64 [N].
      views: Number of pictures of each document, int64 [N].
      places: Offset in the data and length of each picture, document by document, int64 [P, 2].
    """

    starts: Int64s
    end: int
    product_ids: Int64s
    category_ids: Int64s
    views: Int64s
    places: Int64s


def read(data: bytes, start: int, stop: int) -> Documents | None:
    """Parses the documents from `start` that begin before `stop`.

    Stops before the first document that has another layout or is incomplete. Returns None if that
    is the document at `start`.
    """
    edges = np.array(_edges(data, start, stop), np.int64)
    if len(edges) < 2:
        return None
    values = np.frombuffer(data, np.uint8)
    starts, tails = edges[:-1], edges[1:] - _TAIL.itemsize
    head, tail = _fields(values, starts, _HEAD), _fields(values, tails, _TAIL)
    usual = (head['id'] == b'\x10_id') & (head['imgs'] == b'\x04imgs')
    usual &= starts + _HEAD.itemsize - 4 + head['imgs_length'] == tails + 1
    usual &= (tail['name'] == b'\x10category_id') & (tail['imgs_end'] == 0)
    usual &= tail['terminator'] == 0
    number, places = _pictures(values, starts + _HEAD.itemsize, tails, usual)
    count = len(usual) if usual.all() else int(np.argmin(usual))
    if not count:
        return None
    order = np.argsort(number, kind='stable')
    order = order[: np.searchsorted(number[order], count)]
    return Documents(
        starts=starts[:count],
        end=int(edges[count]),
        product_ids=head['product_id'][:count].astype(np.int64),
        category_ids=tail['category_id'][:count].astype(np.int64),
        views=np.bincount(number[order], minlength=count),
        places=places[order],
    )


def _edges(data: bytes, start: int, stop: int) -> list[int]:
    """Returns the offset of each document, found by its length field, and the last one's end."""
    edges = [start]
    last = len(data) - _LEAST_BYTES
    unpack = _LENGTH.unpack_from
    while start < stop and start <= last:
        (length,) = unpack(data, start)
        start += length
        if not _LEAST_BYTES <= length <= bson_document.MAX_BYTES or start > len(data):
            break
        edges.append(start)
    return edges


def _pictures(
    values: npt.NDArray[np.uint8], at: Int64s, tails: Int64s, usual: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s]:
    """Returns each picture's document number, int64 [P], and place, int64 [P, 2].

    Args:
      values: The data.
      at: Offset of the first entry of `imgs` of each document. Is changed.
      tails: Offset of the end of `imgs` of each document.
      usual: Whether each document has the layout. Is set to False where the pictures do not.
    """
    numbers, places = [], []
    left = np.flatnonzero(usual)
    for key in _INDICES:
        left = left[at[left] + _ENTRY.itemsize < tails[left]]
        entry = _fields(values, at[left], _ENTRY)
        first = at[left] + _ENTRY.itemsize
        end = at[left] + _KEY_BYTES + entry['length']
        good = (entry['kind'] == 0x03) & (entry['key'] == key) & (entry['name'] == b'\x05picture')
        good &= (entry['subtype'] == 0) & (entry['bytes'] >= 0)
        good &= (first + entry['bytes'] + 1 == end) & (end <= tails[left])
        good &= values[np.where(good, end - 1, 0)] == 0
        usual[left[~good]] = False
        left = left[good]
        numbers.append(left)
        places.append(np.stack([first, entry['bytes']], axis=1)[good])
        at[left] = end[good]
        if not len(left):
            break
    usual &= at == tails
    return np.concatenate(numbers), np.concatenate(places).astype(np.int64)


def _fields(
    values: npt.NDArray[np.uint8], at: Int64s, fields: np.dtype[np.void]
) -> npt.NDArray[np.void]:
    """Returns the fields at each offset of the data."""
    size = fields.itemsize
    windows = np.ndarray(len(values) - size + 1, f'V{size}', values, strides=1)  # at each byte
    return windows[at].view(fields)
