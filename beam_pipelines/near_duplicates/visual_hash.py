"""Hashes how a picture looks: the same for copies that were encoded again or resized, or nearly.

96 bits are the signs of the lowest frequencies of the discrete cosine transform of the luma, as in
pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"). Signs do
not show brightness or colour, so the means of red, green and blue and the contrast complete the
hash: variants of a product in another colour are other pictures.

A JPEG is decoded at an eighth of its size, which libjpeg-turbo reads from the mean of each block.
All numbers are integers that float64 holds exactly, so that equal pictures have equal hashes on any
machine, whatever else is hashed with them.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import simplejpeg

from beam_pipelines.table import BLANK, CONVERT
from catalog import pixels
from catalog.formats.bad_picture import BadPicture

HASH = np.dtype([('visual_high', '<u8'), ('visual_low', '<u4'), ('tone', '<u4')])
BANDS, BAND_BITS = 6, 16

_FREQUENCIES = 10  # of each axis
_BITS = BANDS * BAND_BITS
_GRID = 32  # a picture is averaged to this many rows and columns
_MIN_SIDE = 22  # pixels of a decoded JPEG; it is at an eighth of its size if that is as large
_MIN_CONTRAST = 4  # in a picture with less, the signs are those of noise
_SCALE = 1 << 12  # of the integers that approximate cosines and weights
_LUMA = 77.0, 150.0, 29.0  # ITU-R BT.601, of 256
_CONTRAST = 2 * 256 * (_GRID * _SCALE) ** 2  # one step of contrast, in sums of frequencies
_MAX_PRODUCT = 200_000  # multiplications; OpenBLAS uses one thread up to 262,144

UInt8s = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Size = tuple[int, int, float, float]  # height and width as decoded, and without padding


def hash_pictures(
    data: bytes, places: npt.NDArray[np.int64], traits: UInt8s
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    """Hashes pictures. A picture that shows nearly nothing, or cannot be decoded, has no hash.

    Args:
      data: Bytes that contain the pictures.
      places: Offset and length of each picture, int64 [pictures, 2].
      traits: Traits of each picture (`beam_pipelines.table`), uint8 [pictures].

    Returns:
      The numbers of the pictures that have a hash, ascending, and their hashes: HASH.
    """
    by_size: dict[Size, list[tuple[int, UInt8s]]] = defaultdict(list)
    for number, (offset, length) in enumerate(places.tolist()):
        if traits[number] & BLANK:
            continue
        try:
            size, rgb = _decode(data[offset : offset + length], plain=not traits[number] & CONVERT)
        except BadPicture:
            continue
        by_size[size].append((number, rgb))
    numbers: list[int] = []
    hashes = [np.zeros(0, HASH)]
    for size, pictures in by_size.items():
        for some in _chunks(pictures, rows=size[0] * size[1]):
            numbers += [number for number, _ in some]
            hashes.append(_hash(np.stack([rgb for _, rgb in some]), size))
    found, all_numbers = np.concatenate(hashes), np.array(numbers, np.int64)
    order = np.argsort(all_numbers)
    order = order[found['tone'][order] & 0xFF >= _MIN_CONTRAST]
    return all_numbers[order], found[order]


def _chunks(pictures: list[tuple[int, UInt8s]], *, rows: int) -> Iterator[list[tuple[int, UInt8s]]]:
    """Yields parts of the pictures whose numbers fit a processor's cache."""
    count = max((1 << 15) // rows, 1)
    for start in range(0, len(pictures), count):
        yield pictures[start : start + count]


def _decode(data: bytes, *, plain: bool) -> tuple[Size, UInt8s]:
    """Returns a picture, uint8 [height, width, 3], reduced if it is an upright JPEG.

    Raises:
      BadPicture: If it cannot be decoded.
    """
    if plain:
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
            rgb = simplejpeg.decode_jpeg(data, 'RGB', min_height=_MIN_SIDE, min_width=_MIN_SIDE)
        except ValueError:  # stricter than Pillow
            pass
        else:
            eighths = _eighths(height, width, rgb.shape[0], rgb.shape[1])
            # The last pixels may be those of a part of a block.
            return (*rgb.shape[:2], height * eighths / 8, width * eighths / 8), rgb
    shown = pixels.decode(data)
    factor = min(max(min(shown.size) // _MIN_SIDE, 1), 8)
    rgb = np.asarray(shown.reduce(factor))
    return (*rgb.shape[:2], shown.height / factor, shown.width / factor), rgb


def _eighths(height: int, width: int, decoded_height: int, decoded_width: int) -> int:
    """Returns by how many eighths of its size a JPEG was decoded."""
    return next(
        eighths
        for eighths in range(1, 9)
        if -(-height * eighths // 8) == decoded_height and -(-width * eighths // 8) == decoded_width
    )


def _hash(rgb: UInt8s, size: Size) -> npt.NDArray[np.void]:
    """Returns the hashes of pictures of one size, HASH [pictures]."""
    count, height, width, _ = rgb.shape
    sums = _transform(rgb.reshape(count, height, 3 * width), _rows(height, size[2]))
    sums = sums @ _columns(width, size[3])  # [pictures, frequencies and sum, the same and channels]
    frequencies = sums[:, :_FREQUENCIES, :_FREQUENCIES].reshape(count, -1)[:, _order()]
    packed = np.packbits(frequencies > 0, axis=1)
    found = np.zeros(count, HASH)
    found['visual_high'] = packed[:, :8].copy().view('<u8')[:, 0]
    found['visual_low'] = packed[:, 8:].copy().view('<u4')[:, 0]
    tone = np.empty((count, 4), np.uint8)
    tone[:, 0] = np.minimum(np.abs(frequencies).sum(axis=1) // _CONTRAST, 255)
    tone[:, 1:] = sums[:, _FREQUENCIES, _FREQUENCIES:] // (height * width)
    found['tone'] = tone.view('<u4')[:, 0]
    return found


def _transform(values: UInt8s, rows: Floats) -> Floats:
    """Returns rows @ values, float64 [pictures, rows, columns], in products of one thread each.

    The threads of a larger product would take more time to wait than it takes to compute.
    """
    columns = max(_MAX_PRODUCT // rows.size, 1)
    return np.concatenate(
        [
            rows @ values[:, :, start : start + columns].astype(np.float64)
            for start in range(0, values.shape[2], columns)
        ],
        axis=2,
    )


@functools.lru_cache(1 << 10)
def _rows(height: int, length: float) -> Floats:
    """Returns what gives frequencies and sum of columns, float64 [frequencies + 1, height]."""
    return np.vstack([_basis(height, length), np.ones(height)])


@functools.lru_cache(1 << 10)
def _columns(width: int, length: float) -> Floats:
    """Returns what gives luma's frequencies and the channels' sums of rows of RGB.

    float64 [3 * width, frequencies + 3].
    """
    luma = _basis(width, length).T[:, None] * np.array(_LUMA)[:, None]
    channels = np.broadcast_to(np.eye(3), (width, 3, 3))
    return np.concatenate([luma, channels], axis=2).reshape(3 * width, -1)


@functools.cache
def _order() -> npt.NDArray[np.int64]:
    """Returns the frequencies of the bits, from low to high, in turn one for each band."""
    row, column = np.indices((_FREQUENCIES, _FREQUENCIES)).reshape(2, -1)
    lowest = np.lexsort([row, np.abs(row - column), row + column])[1 : _BITS + 1]
    by_band: npt.NDArray[np.int64] = lowest.reshape(BAND_BITS, BANDS).T.ravel()
    return by_band


def _basis(samples: int, length: float) -> Floats:
    """Returns the integers that transform samples to frequencies, float64 [frequencies, samples].

    The samples are averaged over the cells of the grid first, each by the part of it in a cell.

    Args:
      samples: Number of samples.
      length: Number of samples without padding; the last one may count in part.
    """
    cells = np.linspace(0, length, _GRID + 1)
    sample = np.arange(samples)
    shared = np.minimum(cells[1:, None], sample + 1) - np.maximum(cells[:-1, None], sample)
    weights = np.clip(shared, 0, None) * (_GRID / length)  # [grid, samples]
    angles = np.arange(_FREQUENCIES)[:, None] * (2 * np.arange(_GRID) + 1) * np.pi / (2 * _GRID)
    return np.rint(np.cos(angles) @ weights * _SCALE)
