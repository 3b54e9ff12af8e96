"""What `--input` names: files, globs, gzip, dumps; the same products give the same bytes."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_pipelines.sources import opening
from beam_pipelines.sources.bson_files import BsonFiles
from catalog.errors import UserError
from tests.beam_pipelines.shop import CATEGORY_IDS, files, jpeg, product, run_door, run_job

WriteBson = Callable[..., Path]

DOCUMENTS = [
    product(n, CATEGORY_IDS[n % 4], [jpeg(n + view) for view in range(n % 3 + 1)])
    for n in range(60)
]
OPTIONS = {'balance': 'sqrt', 'shards': 3, 'seed': 7}


@pytest.fixture(scope='module')
def wanted(categories_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the products give from one file."""
    folder = tmp_path_factory.mktemp('wanted')
    (folder / 'train.bson').write_bytes(b''.join(DOCUMENTS))
    run_job(folder / 'train.bson', categories_path, folder / 'out', **OPTIONS)
    return files(folder / 'out')


def test_several_files_give_the_bytes_of_one(
    wanted: dict[str, bytes], write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    for number in range(4):
        write_bson(DOCUMENTS[number::4], f'part-{number}.bson')
    inputs = [str(tmp_path / 'part-3.bson'), str(tmp_path / 'part-[0-2].bson')]
    run_job(inputs, categories_path, tmp_path / 'out', range_bytes=3000, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


def test_a_gzip_file_gives_the_same_bytes_says_so_and_leaves_no_copy(
    wanted: dict[str, bytes],
    categories_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS)))
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'copies'))
    (tmp_path / 'copies').mkdir()
    done = run_door(
        f'--input={packed}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--range_mb=0.01',
        '--direct_num_workers=2',
        *(f'--{name}={value}' for name, value in OPTIONS.items()),
    )
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / 'out') == wanted
    assert f'{packed}: gzip is read in one piece, not in parallel' in done.stderr
    assert not files(tmp_path / 'copies')


def test_a_gzip_file_that_is_cut_off_is_refused_by_name(tmp_path: Path) -> None:
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS))[:-1000])
    with pytest.raises(UserError, match=r'train.bson.gz: must be a whole gzip file, got damage'):
        opening.open_source([str(packed)], tree=None)


def test_a_folder_that_mongodump_made_stands_for_its_collections(
    wanted: dict[str, bytes], categories_path: Path, tmp_path: Path
) -> None:
    shop = tmp_path / 'dump' / 'shop'
    shop.mkdir(parents=True)
    (shop / 'products.bson').write_bytes(b''.join(DOCUMENTS[:30]))
    (shop / 'products.metadata.json').write_text('{"indexes": []}')
    (shop / 'more.bson').write_bytes(b''.join(DOCUMENTS[30:]))
    (shop / 'system.views.bson').write_bytes(b'of the server')
    (tmp_path / 'dump' / 'oplog.bson').write_bytes(b'of the server')
    run_job(tmp_path / 'dump', categories_path, tmp_path / 'out', **OPTIONS)
    assert files(tmp_path / 'out') == wanted
    source = opening.open_source([f'{shop}/'], tree=None)
    assert isinstance(source, BsonFiles)
    assert source.paths == (f'{shop}/more.bson', f'{shop}/products.bson')


def test_files_of_a_pattern_come_in_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        (tmp_path / f'part-{number}.bson').write_bytes(product(number, None, [jpeg(number)]))
    source = opening.open_source([str(tmp_path / 'part-*.bson')], tree=None)
    assert [source.name(number) for number in range(3)] == [
        str(tmp_path / f'part-{number}.bson') for number in range(3)
    ]


def test_what_holds_no_product_is_refused_by_name(tmp_path: Path) -> None:
    empty, full = tmp_path / 'empty.bson', tmp_path / 'full.bson'
    empty.write_bytes(b'')
    full.write_bytes(DOCUMENTS[0])
    photos = tmp_path / 'photos'
    photos.mkdir()
    for inputs, message in [
        ([empty], f'{empty}: must hold BSON documents, got an empty file'),
        ([photos], f'--input: {photos} must hold BSON files or photos, got none'),
        ([full, photos], f'must be BSON files or photos, got both: {full} and {photos}'),
        ([tmp_path / '*.gz'], f'--input: must name files that exist, got {tmp_path}/*.gz'),
    ]:
        with pytest.raises(UserError) as caught:
            opening.open_source([str(path) for path in inputs], tree=None)
        assert message in str(caught.value)
