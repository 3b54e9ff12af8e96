"""The pixels of pictures are those that a viewer shows."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from catalog import pixels
from catalog.formats.exif import read_orientation
from catalog.formats.image_header import BadPicture, read_header
from tests import pictures
from tests.pictures import HEIGHT, WIDTH, interior, save

LOSSLESS = list(pictures.lossless())
LOSSY = list(pictures.lossy())


def each(cases: list[tuple[str, bytes, np.ndarray]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ('data', 'expected'), [case[1:] for case in cases], ids=[case[0] for case in cases]
    )


TIFF_BOMB = struct.pack(
    '<4sIHHHIIHHII', b'II*\0', 8, 2, 256, 4, 1, 30_000, 257, 4, 1, 30_000
)  # fmt: skip


def decoded(data: bytes) -> np.ndarray:
    image = pixels.decode(data)
    assert image.mode == 'RGB'
    return np.asarray(image)


@each(LOSSLESS)
def test_a_lossless_picture_has_the_pixels_that_were_drawn(
    data: bytes, expected: np.ndarray
) -> None:
    np.testing.assert_array_equal(decoded(data), expected)


@each(LOSSY)
def test_a_lossy_picture_has_nearly_the_pixels_that_were_drawn(
    data: bytes, expected: np.ndarray
) -> None:
    assert decoded(data).shape == (HEIGHT, WIDTH, 3)
    assert np.abs(interior(decoded(data)) - interior(expected)).max() <= 4


def test_a_picture_converted_to_jpeg_is_upright_and_has_no_orientation() -> None:
    for name, data, expected in [*LOSSLESS, *LOSSY]:
        converted = pixels.to_jpeg(data)
        assert read_header(converted).plain_jpeg, name
        found = np.asarray(Image.open(io.BytesIO(converted)))
        assert np.abs(interior(found) - interior(expected)).max() <= 6, name


def test_a_picture_converted_to_png_keeps_its_pixels() -> None:
    for name, data, _ in LOSSY:
        found = np.asarray(Image.open(io.BytesIO(pixels.to_png(data))))
        np.testing.assert_array_equal(found, decoded(data), err_msg=name)


def test_only_formats_that_no_exported_model_reads_are_converted_for_it() -> None:
    for name, data, _ in [*LOSSLESS, *LOSSY]:
        served = name.split()[0] in ('jpeg', 'mpo', 'png', 'gif', 'webp')
        served &= '2000' not in name
        assert (pixels.to_served(data) == data) == served, name


def test_what_a_gifs_first_frame_leaves_of_its_canvas_is_white() -> None:
    gif = bytearray(save(Image.new('RGB', (4, 4), (9, 9, 9)), 'GIF'))
    struct.pack_into('<HH', gif, 6, 6, 5)
    expected = np.full((5, 6, 3), 255)
    expected[:4, :4] = 9
    np.testing.assert_array_equal(decoded(bytes(gif)), expected)


@pytest.mark.parametrize(
    ('exif', 'orientation'),
    [
        (pictures.exif(6), 6),
        (pictures.exif(8, order='<'), 8),
        (pictures.exif(6).removeprefix(b'Exif\0\0'), 6),
        (pictures.exif(0), 1),
        (pictures.exif(9), 1),
        (pictures.exif(6)[:30], 1),  # truncated before the entry
        (b'', 1),
        (b'MM\0*\xff\xff\xff\xff', 1),
        (b'MM\0*\0\0\0\x08\xff\xff', 1),
        (b'XX\0*\0\0\0\x08', 1),
    ],
)
def test_the_orientation_is_read_and_damaged_exif_is_upright(exif: bytes, orientation: int) -> None:
    assert read_orientation(exif) == orientation


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'empty'),
        (b'text', 'not_a_picture'),
        (b'\0\0\0\x18ftypheic' + bytes(400), 'heic'),
        (b'\0\0\0\x18ftypmif1\0\0\0\0mif1heic' + bytes(400), 'heic'),
        (save(Image.new('RGB', (9, 9)), 'AVIF')[:-9], 'corrupt'),
        (save(Image.new('RGB', (9, 9)), 'TIFF')[:-99], 'corrupt'),
        (TIFF_BOMB, 'too_large'),
        (b'P6 30000 30000 255\n', 'too_large'),
        (b'\xff\x4f\xff\x51\0\x29\0\0' + struct.pack('>4I', 30000, 30000, 0, 0), 'too_large'),
        (b'qoif' + struct.pack('>II', 30000, 30000), 'too_large'),
    ],
)  # fmt: skip
def test_an_unusable_picture_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadPicture) as caught:
        pixels.decode(data)
    assert caught.value.reason == reason
