"""Blank pictures are found by their size, without decoding most others."""

import io

import numpy as np
import pytest
from PIL import Image

from beam_pipelines.scan.pictures import inspect_picture
from beam_pipelines.table import BLANK, CONVERT

WHITE, GREEN, PURPLE = (255, 255, 255), (10, 250, 3), (128, 40, 200)


def encoded(picture: Image.Image, form: str = 'JPEG', **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def plain(color: object = WHITE, *, size: tuple[int, int] = (180, 180), mode: str = 'RGB') -> bytes:
    return encoded(Image.new(mode, size, color))


def noise(strength: int) -> Image.Image:
    """Grey noise with `strength` different values, up to white."""
    pixels = np.random.default_rng(0).integers(256 - strength, 256, (180, 180), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize('size', [(1, 1), (17, 33), (180, 180), (600, 401)])
@pytest.mark.parametrize('quality', [30, 75, 90, 100])
def test_a_jpeg_of_one_colour_is_blank_at_any_size_and_quality(
    quality: int, size: tuple[int, int]
) -> None:
    for color in (WHITE, (0, 0, 0), GREEN, PURPLE):
        picture = Image.new('RGB', size, color)
        for subsampling in ('4:2:0', '4:2:2', '4:4:4'):
            for progressive in (False, True):
                data = encoded(
                    picture, quality=quality, subsampling=subsampling, progressive=progressive
                )
                assert inspect_picture(data, decode=False) == BLANK
    assert inspect_picture(plain(200, size=size, mode='L'), decode=False) == BLANK


def test_long_profiles_and_thumbnails_do_not_hide_a_blank_picture() -> None:
    exif = Image.Exif()
    exif[0x010E] = 'a description ' * 500
    data = encoded(Image.new('RGB', (180, 180), GREEN), exif=exif, icc_profile=bytes(90_000))
    assert len(data) > 97_000
    assert inspect_picture(data, decode=False) == BLANK


def test_a_picture_with_one_dot_is_not_blank() -> None:
    for dot_pixels in (1, 2, 3, 30):
        picture = Image.new('RGB', (180, 180), WHITE)
        picture.paste((0, 0, 0), (90, 90, 90 + dot_pixels, 90 + dot_pixels))
        for decode in (False, True):
            assert inspect_picture(encoded(picture), decode=decode) == 0
            assert inspect_picture(encoded(picture, 'PNG'), decode=decode) == CONVERT


def test_a_range_of_eight_is_blank_and_of_nine_is_not() -> None:
    for step, wanted in ((8, BLANK), (9, 0)):
        pixels = np.full((16, 16), 100, np.uint8)
        pixels[:, 8:] = 100 + step
        data = encoded(Image.fromarray(pixels), 'PNG')
        assert inspect_picture(data, decode=False) == wanted | CONVERT


def test_only_decoding_every_picture_finds_faint_noise() -> None:
    faint = encoded(noise(4), quality=97)
    assert np.ptp(np.asarray(Image.open(io.BytesIO(faint)))) <= 8
    assert [inspect_picture(faint, decode=decode) for decode in (False, True)] == [0, BLANK]
    strong = encoded(noise(40), quality=97)
    assert [inspect_picture(strong, decode=decode) for decode in (False, True)] == [0, 0]


@pytest.mark.parametrize('form', ['PNG', 'GIF', 'WEBP', 'BMP'])
def test_other_formats_are_blank_if_their_jpeg_is(form: str) -> None:
    assert inspect_picture(encoded(Image.new('RGB', (60, 40), PURPLE), form), decode=False) == (
        BLANK | CONVERT
    )
    hidden = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8))
    hidden.putalpha(0)  # these colours are invisible on a white ground
    if form in ('PNG', 'WEBP'):
        options = {'lossless': True, 'exact': True} if form == 'WEBP' else {}
        assert inspect_picture(encoded(hidden, form, **options), decode=False) == BLANK | CONVERT
