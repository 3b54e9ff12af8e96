"""The source that `--input` names: files, globs, gzip, dumps."""

import gzip
from pathlib import Path

import pytest

from catalog.errors import UserError
from catalog.sources import opening
from tests.shop import CATEGORY_IDS, jpeg, product

DOCUMENTS = [product(n, CATEGORY_IDS[n % 4], [jpeg(n)]) for n in range(20)]


def test_a_truncated_gzip_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS))[:-1000])
    with pytest.raises(UserError, match=r'train.bson.gz: must be an intact gzip file, got damage'):
        opening.open_source([str(packed)], tree=None)


def test_a_folder_of_mongodump_gives_its_collections(tmp_path: Path) -> None:
    shop = tmp_path / 'dump' / 'shop'
    shop.mkdir(parents=True)
    for name in ('products.bson', 'more.bson', 'products.metadata.json', 'system.views.bson'):
        (shop / name).write_bytes(DOCUMENTS[0])
    source = opening.open_source([f'{shop}/'], tree=None)
    assert source.paths == (f'{shop}/more.bson', f'{shop}/products.bson')


def test_files_of_a_pattern_are_in_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        (tmp_path / f'part-{number}.bson').write_bytes(product(number, None, [jpeg(number)]))
    source = opening.open_source([str(tmp_path / 'part-*.bson')], tree=None)
    assert [source.file_name(number) for number in range(3)] == [
        str(tmp_path / f'part-{number}.bson') for number in range(3)
    ]


def test_an_input_without_products_is_an_error_with_its_name(tmp_path: Path) -> None:
    empty, full = tmp_path / 'empty.bson', tmp_path / 'full.bson'
    empty.write_bytes(b'')
    full.write_bytes(DOCUMENTS[0])
    photos = tmp_path / 'photos'
    photos.mkdir()
    for inputs, message in [
        ([empty], f'{empty}: must contain BSON documents, got an empty file'),
        ([photos], f'--input: {photos} must contain BSON files or photos, got none'),
        ([full, photos], f'must be BSON files or photos, got both: {full} and {photos}'),
        ([tmp_path / '*.gz'], f'--input: must name existing files, got {tmp_path}/*.gz'),
    ]:
        with pytest.raises(UserError) as caught:
            opening.open_source([str(path) for path in inputs], tree=None)
        assert message in str(caught.value)
