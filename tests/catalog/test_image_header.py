"""Reads headers of images that Pillow wrote."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from catalog.formats.image_header import MAX_PIXELS, BadPicture, read_header


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', crc)


def indexed_png(*chunks: bytes) -> bytes:
    ihdr = chunk(b'IHDR', struct.pack('>IIBBBBB', 4, 2, 8, 3, 0, 0, 0))
    data = chunk(b'IDAT', zlib.compress(b'\0\0\1\0\1' * 2))
    return b'\x89PNG\r\n\x1a\n' + ihdr + b''.join(chunks) + data + chunk(b'IEND', b'')


def encoded(form: str, mode: str = 'RGB', **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (31, 17), 1).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ('data', 'form', 'channels', 'plain'),
    [
        (encoded('JPEG'), 'jpeg', 3, True),
        (encoded('JPEG', 'L'), 'jpeg', 1, True),
        (encoded('JPEG', 'CMYK'), 'jpeg', 4, False),
        (encoded('JPEG', progressive=True), 'jpeg', 3, True),
        (encoded('JPEG', exif=Image.Exif().tobytes(), comment='text'), 'jpeg', 3, True),
        (encoded('JPEG') + bytes(5), 'jpeg', 3, True),
        (encoded('JPEG')[:-30], 'jpeg', 3, False),
        (encoded('PNG'), 'png', 3, False),
        (encoded('PNG', 'RGBA'), 'png', 4, False),
        (encoded('PNG', 'P'), 'png', 3, False),
        (encoded('GIF', 'P'), 'gif', 3, False),
        (encoded('BMP'), 'bmp', 3, False),
        (encoded('WEBP'), 'webp', 3, False),
        (encoded('WEBP', lossless=True), 'webp', 4, False),
    ],
)
def test_format_size_and_channels_are_read_from_the_header(
    data: bytes, form: str, channels: int, plain: bool
) -> None:
    header = read_header(data)
    assert (header.format, header.width, header.height) == (form, 31, 17)
    assert header.channels == channels
    assert header.plain_jpeg == plain


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'empty'),
        (b'random bytes', 'not_a_picture'),
        (b'\xff\xd8', 'corrupt'),
        (b'\xff\xd8\xff\xda' + bytes(20), 'corrupt'),
        (encoded('JPEG')[:100], 'corrupt'),
        (encoded('PNG')[:20], 'corrupt'),
        (b'\x89PNG\r\n\x1a\n' + bytes(8) + struct.pack('>IIBB', 20000, 20000, 8, 2), 'too_large'),
        (b'\x89PNG\r\n\x1a\n' + bytes(8) + struct.pack('>IIBB', 0, 5, 8, 2), 'corrupt'),
        (indexed_png(), 'corrupt'),
        (indexed_png(chunk(b'PLTE', b'')), 'corrupt'),
        (indexed_png(chunk(b'tRNS', b'\0'), chunk(b'PLTE', bytes(6))), 'corrupt'),
        (b'\xff\x0a\x7f' + bytes(9), 'unsupported'),
        (b'\0\0\0\x0cJXL \r\n\x87\n' + bytes(9), 'unsupported'),
        (indexed_png(chunk(b'PLTE', bytes(7))), 'corrupt'),
        (indexed_png(chunk(b'tEXt', bytes(7)))[:60], 'corrupt'),
    ],
)
def test_an_unusable_image_is_rejected_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadPicture) as caught:
        read_header(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ('data', 'got'),
    [
        (b'<!DOCTYPE html><p>not found', 'an HTML page'),
        (b'{"error": "not found"}', 'JSON text'),
        (b'%PDF-1.7 ', 'a PDF file'),
        (b'\0\0\0\x18ftypisom\0\0\2\0isommp41', 'a HEIC or AVIF image, or a video'),
        (b'none', 'bytes that start with 6e6f6e65'),
    ],
)
def test_bytes_of_another_format_are_named(data: bytes, got: str) -> None:
    with pytest.raises(BadPicture, match=f'an image must have a known format, got {got}$'):
        read_header(data)


def test_a_palette_may_follow_other_chunks() -> None:
    text, palette = chunk(b'tEXt', b'PLTE' * 9), chunk(b'PLTE', bytes(6))
    assert read_header(indexed_png(text, palette)).format == 'png'


def test_the_largest_image_has_67_megapixels() -> None:
    assert MAX_PIXELS == 8192 * 8192


@given(
    st.binary(max_size=80), st.sampled_from([b'', b'\xff\xd8\xff', b'RIFF1234WEBPVP8', b'GIF89a'])
)
def test_any_bytes_give_a_header_or_a_reason(data: bytes, magic: bytes) -> None:
    try:
        header = read_header(magic + data)
    except BadPicture as error:
        assert error.reason in (  # noqa: PT017
            'empty', 'not_a_picture', 'corrupt', 'too_large', 'unsupported', 'heic',
        )  # fmt: skip
    else:
        assert header.width * header.height > 0
