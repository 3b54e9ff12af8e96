"""Blank pictures are listed, and dropped on demand."""

import io
import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.beam_pipelines.running import read_split, run_command
from tests.shop import CATEGORY_IDS, jpeg, product

WHITE, GREEN, PURPLE = (255, 255, 255), (10, 250, 3), (128, 40, 200)


def plain(color: tuple[int, int, int] = WHITE) -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (180, 180), color).save(file, 'JPEG')
    return file.getvalue()


def shop_with_blanks() -> list[bytes]:
    return [
        product(1, CATEGORY_IDS[0], [jpeg(1), plain()]),
        product(2, CATEGORY_IDS[0], [plain(), plain(GREEN)]),
        product(3, CATEGORY_IDS[1], [plain(PURPLE), b'no picture', jpeg(3), jpeg(4)]),
        product(4, CATEGORY_IDS[1], [b'no picture', plain()]),
        product(1, CATEGORY_IDS[0], [plain()]),  # a rejected document
    ]


def run(path: Path, categories: Path, output: Path, *options: str) -> dict:
    done = run_command(
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


def test_blank_pictures_are_listed_and_kept(
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


def test_drop_blank_drops_them(
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


def test_a_class_with_only_blank_pictures_becomes_empty(
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


def test_a_dump_with_only_blank_pictures_is_an_error_of_one_line(
    write_bson: Callable[..., Path], categories_path: Path, tmp_path: Path
) -> None:
    done = run_command(
        f'--input={write_bson([product(1, CATEGORY_IDS[0], [plain()])])}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--drop_blank',
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        'error: --input: must contain at least one usable product, got none'
    )
