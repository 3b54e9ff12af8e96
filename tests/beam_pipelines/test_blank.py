"""Pictures that show nothing: found by their size, listed for people, dropped if asked for."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_pipelines.scan.pictures import traits
from beam_pipelines.table import BLANK, CONVERT
from tests.beam_pipelines.shop import CATEGORY_IDS, jpeg, product, read_split, run_door

WHITE, GREEN, PURPLE = (255, 255, 255), (10, 250, 3), (128, 40, 200)


def encoded(picture: Image.Image, form: str = 'JPEG', **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def plain(color: object = WHITE, *, size: tuple[int, int] = (180, 180), mode: str = 'RGB') -> bytes:
    return encoded(Image.new(mode, size, color))


def noise(strength: int) -> Image.Image:
    """Grey noise of as many values, up to white."""
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
                assert traits(data, decode=False) == BLANK
    assert traits(plain(200, size=size, mode='L'), decode=False) == BLANK


def test_long_profiles_and_thumbnails_do_not_hide_a_blank_picture() -> None:
    exif = Image.Exif()
    exif[0x010E] = 'a description ' * 500
    data = encoded(Image.new('RGB', (180, 180), GREEN), exif=exif, icc_profile=bytes(90_000))
    assert len(data) > 97_000
    assert traits(data, decode=False) == BLANK


def test_one_dot_is_enough_to_be_no_blank_picture() -> None:
    for dot_pixels in (1, 2, 3, 30):
        picture = Image.new('RGB', (180, 180), WHITE)
        picture.paste((0, 0, 0), (90, 90, 90 + dot_pixels, 90 + dot_pixels))
        for decode in (False, True):
            assert traits(encoded(picture), decode=decode) == 0
            assert traits(encoded(picture, 'PNG'), decode=decode) == CONVERT


def test_the_limit_is_a_range_of_eight() -> None:
    for step, wanted in ((8, BLANK), (9, 0)):
        pixels = np.full((16, 16), 100, np.uint8)
        pixels[:, 8:] = 100 + step
        data = encoded(Image.fromarray(pixels), 'PNG')
        assert traits(data, decode=False) == wanted | CONVERT


def test_decoding_every_picture_finds_the_faint_noise_that_sizes_do_not() -> None:
    faint = encoded(noise(4), quality=97)
    assert np.ptp(np.asarray(Image.open(io.BytesIO(faint)))) <= 8
    assert [traits(faint, decode=decode) for decode in (False, True)] == [0, BLANK]
    strong = encoded(noise(40), quality=97)
    assert [traits(strong, decode=decode) for decode in (False, True)] == [0, 0]


@pytest.mark.parametrize('form', ['PNG', 'GIF', 'WEBP', 'BMP'])
def test_other_formats_are_blank_as_they_are_written(form: str) -> None:
    assert traits(encoded(Image.new('RGB', (60, 40), PURPLE), form), decode=False) == (
        BLANK | CONVERT
    )
    hidden = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8))
    hidden.putalpha(0)  # colours that are not seen on white ground
    if form in ('PNG', 'WEBP'):
        options = {'lossless': True, 'exact': True} if form == 'WEBP' else {}
        assert traits(encoded(hidden, form, **options), decode=False) == BLANK | CONVERT


def shop_with_blanks() -> list[bytes]:
    return [
        product(1, CATEGORY_IDS[0], [jpeg(1), plain()]),
        product(2, CATEGORY_IDS[0], [plain(), plain(GREEN)]),
        product(3, CATEGORY_IDS[1], [plain(PURPLE), b'no picture', jpeg(3), jpeg(4)]),
        product(4, CATEGORY_IDS[1], [b'no picture', plain()]),
        product(1, CATEGORY_IDS[0], [plain()]),  # rejected whole
    ]


def run(path: Path, categories: Path, output: Path, *options: str) -> dict:
    done = run_door(
        f'--input={path}',
        f'--categories={categories}',
        f'--output={output}',
        '--validation_fraction=0',
        '--max_rejected_fraction=1',
        *options,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((output / 'manifest.json').read_text())['ledger']


def listed(output: Path) -> list[dict]:
    lines = (output / 'rejected' / 'blank.jsonl').read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_blank_pictures_are_listed_for_people_and_stay(
    write_bson: Callable[..., Path], categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson(shop_with_blanks())
    ledger = run(path, categories_path, tmp_path / 'out')
    assert ledger['notes']['blank_pictures'] == 5
    assert ledger['pictures'] == {
        'read': 11,
        'train': 8,
        'rejected_not_a_picture': 2,
        'rejected_duplicate_id': 1,
    }
    blanks = listed(tmp_path / 'out')
    assert [(b['product_id'], b['picture']) for b in blanks] == [
        (1, 1), (2, 0), (2, 1), (3, 0), (4, 1),
    ]  # fmt: skip
    source = path.read_bytes()
    pictures = [source[b['offset'] : b['offset'] + b['length']] for b in blanks]
    assert pictures == [plain(), plain(), plain(GREEN), plain(PURPLE), plain()]
    assert {b['file'] for b in blanks} == {str(path)}
    assert blanks[0]['message'] == 'no channel varies by more than 8 of 255'


def test_blank_pictures_are_dropped_if_asked_for(
    write_bson: Callable[..., Path], categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson(shop_with_blanks())
    ledger = run(path, categories_path, tmp_path / 'out', '--drop_blank', '--duplicates=drop')
    assert ledger['documents'] == {
        'read': 5,
        'train': 2,
        'dropped_blank': 2,  # product 2, and 4, whose other picture is rejected
        'rejected_duplicate_id': 1,
    }
    assert ledger['pictures'] == {
        'read': 11,
        'train': 3,
        'dropped_blank': 5,
        'rejected_not_a_picture': 2,
        'rejected_duplicate_id': 1,
    }
    assert len(listed(tmp_path / 'out')) == ledger['notes']['blank_pictures'] == 5
    records = [record for of_shard in read_split(tmp_path / 'out', 'train') for record in of_shard]
    assert {r.product_id: (list(r.pictures), list(r.indices)) for r in records} == {
        1: ([jpeg(1)], [0]),
        3: ([jpeg(3), jpeg(4)], [2, 3]),
    }


def test_a_class_of_nothing_but_blank_pictures_is_left_with_none(
    write_bson: Callable[..., Path], categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson(
        [
            product(1, CATEGORY_IDS[0], [plain()]),
            product(2, CATEGORY_IDS[0], [plain()]),
            *(product(number, CATEGORY_IDS[1], [jpeg(number)]) for number in (3, 4)),
        ]
    )
    ledger = run(path, categories_path, tmp_path / 'out', '--drop_blank', '--balance=uniform')
    assert ledger['documents'] == {'read': 4, 'train': 2, 'dropped_blank': 2}
    manifest = json.loads((tmp_path / 'out' / 'manifest.json').read_text())
    assert manifest['splits']['train']['records_per_class'] == [0, 2, 0, 0]


def test_a_dump_of_nothing_but_blank_pictures_is_a_mistake_told_in_one_line(
    write_bson: Callable[..., Path], categories_path: Path, tmp_path: Path
) -> None:
    done = run_door(
        f'--input={write_bson([product(1, CATEGORY_IDS[0], [plain()])])}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--drop_blank',
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        'error: --input: must hold at least one product that can be used, got none'
    )
