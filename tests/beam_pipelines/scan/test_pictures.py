"""Which pictures are kept byte for byte, converted or rejected."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from beam_pipelines.scan.pictures import inspect_picture, inspect_pictures
from beam_pipelines.table import BLANK, CONVERT
from catalog import pixels
from catalog.formats import jpeg
from catalog.formats.image_header import BadPicture
from tests import pictures
from tests.pictures import save, with_exif

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
JPEG = save(PICTURE, 'JPEG', quality=90)
SCAN = JPEG.index(b'\xff\xda')
FRAME = JPEG.index(b'\xff\xc0')


def traits(data: bytes, *, decode: bool = False) -> int:
    """The traits of a picture, of which the vectorised inspection must say the same."""
    try:
        alone = inspect_picture(data, decode=decode)
    except BadPicture as error:
        alone = error
    places = np.array([(k * len(data), len(data)) for k in range(20)])
    together, errors = inspect_pictures(data * 20, places, decode=decode)
    if isinstance(alone, BadPicture):
        assert {error.reason for error in errors.values()} == {alone.reason}
        raise alone
    assert together.tolist() == [alone] * 20
    return alone


def patched(data: bytes, at: int, values: bytes) -> bytes:
    return data[:at] + values + data[at + len(values) :]


def ico(entry: tuple[int, int], inner: bytes) -> bytes:
    """An icon whose entry has a size of its own."""
    return struct.pack('<HHHBBBBHHII', 0, 1, 1, *entry, 0, 0, 1, 24, len(inner), 22) + inner


@pytest.mark.parametrize(
    'data',
    [
        JPEG,
        save(PICTURE.convert('L'), 'JPEG'),
        save(PICTURE, 'JPEG', progressive=True),
        save(PICTURE, 'JPEG', optimize=True),
        save(PICTURE, 'JPEG', subsampling='4:4:4', keep_rgb=True),
        save(PICTURE, 'JPEG', restart_marker_rows=1),
        save(PICTURE, 'MPO', save_all=True, append_images=[PICTURE]),
        with_exif(JPEG, pictures.exif(1)),
        JPEG + bytes(9),
        JPEG + b'a trailer \xff\xd8 of a phone, \xff\xff',
        save(PICTURE, 'JPEG', progressive=True) + JPEG[:200],
    ],
)
def test_an_upright_jpeg_is_kept_with_all_bytes_behind_its_end(data: bytes) -> None:
    assert [traits(data, decode=decode) for decode in (False, True)] == [0, 0]


@pytest.mark.parametrize(
    'data',
    [
        *(with_exif(JPEG, pictures.exif(orientation)) for orientation in range(2, 9)),
        save(PICTURE.convert('CMYK'), 'JPEG'),
        JPEG[:SCAN] + b'junk' + JPEG[SCAN:],  # simplejpeg refuses it, and the next two
        patched(JPEG, 11, b'\x02'),  # JFIF 2
        JPEG[:SCAN] + b'\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x05' + JPEG[SCAN:],
        save(PICTURE, 'PNG'),
        save(PICTURE, 'TIFF'),
        save(PICTURE, 'AVIF'),
        save(PICTURE, 'JPEG2000'),
        save(PICTURE, 'PPM'),
    ],
)
def test_a_picture_that_some_decoder_does_not_read_is_converted(data: bytes) -> None:
    assert [traits(data, decode=decode) for decode in (False, True)] == [CONVERT, CONVERT]
    converted = pixels.to_jpeg(data)
    assert traits(converted, decode=True) == 0


def grey16() -> bytes:
    return save(Image.fromarray(np.arange(96 * 64, dtype=np.uint16).reshape(64, 96) * 10), 'PNG')


def test_a_16_bit_picture_is_not_blank() -> None:
    assert traits(grey16()) == CONVERT


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack('>I', zlib.crc32(name + data))
        return struct.pack('>I', len(data)) + name + data + checksum

    head = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 15) // 8 * height))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


def gif(*, frame: tuple[int, int] = (4, 4)) -> bytes:
    data = bytearray(save(Image.new('RGB', (4, 4), 'red'), 'GIF'))
    at = data.index(b'\x2c\0\0\0\0\4\0\4\0')
    struct.pack_into('<HH', data, at + 5, *frame)
    return bytes(data)


def gif_without_palette() -> bytes:
    data = save(Image.new('RGB', (4, 4), 'red'), 'GIF')
    palette = 3 << (data[10] & 7) + 1
    return data[:10] + b'\0' + data[11:13] + data[13 + palette :]


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (patched(JPEG, FRAME + 4, b'\x0c'), 'unsupported'),  # 12 bits
        (patched(JPEG, FRAME + 1, b'\xc3'), 'unsupported'),  # lossless
        (JPEG[:SCAN] + b'\xff\x02\0\2' + JPEG[SCAN:], 'corrupt'),
        (JPEG[:SCAN] + b'\xff\xd8' + JPEG[SCAN:], 'corrupt'),
        (JPEG[:FRAME] + JPEG[FRAME : FRAME + 19] + JPEG[FRAME:], 'corrupt'),
        (JPEG[: SCAN + 400], 'corrupt'),
        (save(Image.new('RGB', (800, 2), 'red'), 'JPEG'), 'too_thin'),
        (save(Image.new('RGB', (2, 129), 'red'), 'JPEG'), 'too_thin'),
        (png(66_000, 1), 'too_wide'),
        (png(65_501, 1024), 'too_wide'),
        (patched(JPEG, FRAME + 5, struct.pack('>HH', 1020, 65_501)), 'too_wide'),
        (png(20_000, 20_000)[:60], 'too_large'),
        (ico((64, 32), png(6500, 50)), 'too_thin'),
        (gif(frame=(65_535, 65_535)), 'too_large'),
        (gif_without_palette(), 'corrupt'),
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(99), 'heic'),
    ],
)
def test_a_picture_that_no_decoder_reads_is_rejected_with_a_reason(
    data: bytes, reason: str
) -> None:
    for decode in (False, True):
        with pytest.raises(BadPicture) as caught:
            traits(data, decode=decode)
        assert caught.value.reason == reason


def test_a_picture_64_times_as_long_as_wide_is_used() -> None:
    data = save(Image.new('RGB', (2, 128), 'red'), 'JPEG')
    assert traits(data) == BLANK


def test_the_end_of_a_jpeg_is_found_in_front_of_what_follows_it() -> None:
    for options in ({}, {'progressive': True}, {'restart_marker_rows': 1}):
        data = save(PICTURE, 'JPEG', **options)
        scan = data.index(b'\xff\xda')
        assert jpeg.find_end(data + JPEG, scan) == len(data)
        assert jpeg.find_end(data[:-2], scan) is None


def test_an_oriented_jpeg_is_upright_in_the_shard() -> None:
    stored = Image.fromarray(pictures.quadrants(orientation=6))
    data = with_exif(save(stored, 'JPEG', quality=95), pictures.exif(6))
    with Image.open(io.BytesIO(pixels.to_jpeg(data))) as written:
        assert written.size == (pictures.WIDTH, pictures.HEIGHT)
        assert not written.getexif()


def test_os2_bitmaps_are_read() -> None:
    rows = bytes([30, 20, 10] * 4) * 3  # blue, green, red
    head = b'BM' + struct.pack('<IHHI', 26 + len(rows), 0, 0, 26)
    bmp = head + struct.pack('<IHHHH', 12, 4, 3, 1, 24) + rows
    assert traits(bmp) == CONVERT | BLANK
    assert np.asarray(pixels.decode(bmp)).tolist() == [[[10, 20, 30]] * 4] * 3


def test_many_headers_at_once_are_read_as_each_alone() -> None:
    random = np.random.default_rng(0)
    originals = [save(PICTURE, 'JPEG'), save(PICTURE, 'JPEG', optimize=True)]
    mutants = []
    for number in range(4000):
        data = bytearray(originals[number % 2])
        data[random.integers(len(data) if number % 4 == 0 else 640)] = random.integers(256)
        mutants.append(bytes(data[: len(data) if number % 8 else random.integers(800)]))
    lengths = np.array([len(data) for data in mutants])
    places = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
    together, errors = inspect_pictures(b''.join(mutants), places, decode=False)
    for number, data in enumerate(mutants):
        try:
            assert together[number] == inspect_picture(data, decode=False)
            assert number not in errors
        except BadPicture as error:
            assert errors[number].reason == error.reason  # noqa: PT017
