"""The source that `--input` names: files, globs, gzip, dumps."""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from catalog.errors import UserError
from catalog.schema.fields import Fields
from catalog.sources import opening
from tests.shop import CATEGORY_IDS, jpeg, product

DOCUMENTS = [product(n, CATEGORY_IDS[n % 4], [jpeg(n)]) for n in range(20)]


def test_a_truncated_gzip_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS))[:-1000])
    with pytest.raises(
        UserError,
        match=r'train.bson.gz: must be an intact gzip file, got damage.*; get the file again',
    ):
        opening.open_source([str(packed)], tree=None)


def test_a_folder_of_mongodump_gives_its_collections(tmp_path: Path) -> None:
    shop = tmp_path / 'dump [2024], *' / 'shop'  # wildcards that are no pattern
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
    notes = tmp_path / 'notes'
    notes.mkdir()
    (notes / 'prices.xlsx').write_bytes(b'x')
    for inputs, message in [
        ([empty], f'{empty}: must contain BSON documents, got an empty file'),
        ([photos], f'--input: {photos} must contain BSON files or photos, got none'),
        ([notes], f'{notes} must contain BSON files or photos, got none; it has 1 other file'),
        ([full, photos], f'must be BSON files or photos, got both: {full} and {photos}'),
        ([tmp_path / '*.gz'], f'--input: must name existing files, got {tmp_path}/*.gz'),
    ]:
        with pytest.raises(UserError) as caught:
            opening.open_source([str(path) for path in inputs], tree=None)
        assert message in str(caught.value)


def test_a_gzip_bomb_is_an_error_before_it_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    packed = tmp_path / 'train.bson.gz'
    block = gzip.compress(bytes(16 << 20))
    packed.write_bytes(block * 20)  # 336 MB
    with pytest.raises(UserError) as caught:
        opening.open_source([str(packed)], tree=None)
    assert str(caught.value) == (
        f'{packed}: must unpack to at most 268.4 MB, got more from 0.3 MB; '
        '--max_unpack_ratio raises this'
    )
    assert not [path for path in (tmp_path / 'tmp').rglob('*') if path.is_file()]
    source = opening.open_source([str(packed)], tree=None, max_unpack_ratio=1100)
    assert source.total_bytes() == 20 * (16 << 20)


def test_a_disk_without_room_for_a_copy_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS)))
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(9, 9, 200 << 20))
    with pytest.raises(UserError, match=r'must have room for .*train.bson.gz, unpacked, and 256 M'):
        opening.open_source([str(packed)], tree=None)


def test_a_folder_for_copies_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / f'shard-job-{os.getuid()}').symlink_to('elsewhere')
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS)))
    with pytest.raises(
        UserError, match='must be a folder, got a link or a file; delete it; another TMPDIR'
    ):
        opening.open_source([str(packed)], tree=None)
    assert list((tmp_path / 'elsewhere').iterdir()) == []


def test_a_list_with_its_name_in_capitals_has_fields(tmp_path: Path) -> None:
    (tmp_path / '1.jpg').write_bytes(jpeg(1))
    (tmp_path / 'LIST.CSV').write_text('bild\n1.jpg\n')
    fields = Fields((('path', 'bild'),))
    source = opening.open_source([str(tmp_path / 'LIST.CSV')], tree=None, fields=fields)
    assert b'1.jpg' in source.listed_names()
