"""The same products give the same bytes from any source: BSON, gzip, dumps, MongoDB, photos."""

import csv
import gzip
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import bson
import pyarrow as pa
import pytest
from bson import Int64
from pyarrow import parquet
from pymongo import MongoClient

from tests import mongodb
from tests.beam_pipelines.running import files, read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product, shop, write_photo

WriteBson = Callable[..., Path]

OPTIONS = {'balance': 'sqrt', 'shards': 3, 'seed': 7}
NAMES = [f'LEVEL, {number // 2} > MIDDLE > LEAF {number}' for number in range(4)]

# product: its category and its photos
PRODUCTS = {
    number: (CATEGORY_IDS[number % 4], [jpeg(number + view) for view in range(number % 3 + 1)])
    for number in range(60)
}
DOCUMENTS = [product(n, category, photos) for n, (category, photos) in PRODUCTS.items()]


@pytest.fixture(scope='module')
def wanted(categories_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the products give from one BSON file."""
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


def test_a_gzip_file_gives_the_same_bytes_is_reported_and_leaves_no_copy(
    wanted: dict[str, bytes],
    categories_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = tmp_path / 'train.bson.gz'
    packed.write_bytes(gzip.compress(b''.join(DOCUMENTS)))
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'copies'))
    (tmp_path / 'copies').mkdir()
    done = run_command(
        f'--input={packed}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--range_mb=0.01',
        '--direct_num_workers=2',
        *(f'--{name}={value}' for name, value in OPTIONS.items()),
    )
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / 'out') == wanted
    assert f'{packed}: gzip is unpacked in one piece, not in parallel' in done.stderr
    assert not files(tmp_path / 'copies')


def test_a_folder_of_mongodump_gives_the_same_bytes(
    wanted: dict[str, bytes], categories_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'dump' / 'shop'
    folder.mkdir(parents=True)
    (folder / 'products.bson').write_bytes(b''.join(DOCUMENTS[:30]))
    (folder / 'products.metadata.json').write_text('{"indexes": []}')
    (folder / 'more.bson').write_bytes(b''.join(DOCUMENTS[30:]))
    (folder / 'system.views.bson').write_bytes(b'of the server')
    (tmp_path / 'dump' / 'oplog.bson').write_bytes(b'of the server')
    run_job(tmp_path / 'dump', categories_path, tmp_path / 'out', **OPTIONS)
    assert files(tmp_path / 'out') == wanted


def test_mongodb_gives_the_bytes_of_bson(
    mongodb_server: str, categories_path: Path, tmp_path: Path
) -> None:
    documents = shop(120)
    documents += [
        bson.encode({'category_id': Int64(CATEGORY_IDS[1]), 'imgs': [], '_id': -7}),
        bson.encode(
            {
                '_id': Int64(2**40),
                'title': 'x' * 5000,
                'imgs': [{'picture': jpeg(9000), 'width': 16}],
                'category_id': Int64(CATEGORY_IDS[2]),
            }
        ),
        product(-3, CATEGORY_IDS[0], [jpeg(1), b'no picture', jpeg(2)]),
        product(77, 42, [jpeg(3), jpeg(4)]),
        product(78, None, [jpeg(5)]),
        bson.encode({'_id': 'seven', 'imgs': [{'picture': jpeg(6)}]}),
        bson.encode({'_id': 7.5, 'imgs': [{'picture': jpeg(7)}]}),
    ]
    path = tmp_path / 'train.bson'
    path.write_bytes(b''.join(documents))
    with MongoClient(mongodb_server) as client:
        mongodb.fill(client['shop']['same_bytes'], documents)
    options = [
        f'--categories={categories_path}',
        '--max_rejected_fraction=0.1',
        '--shards=3',
        '--balance=sqrt',
    ]
    inputs = {'bson': str(path), 'mongo': f'{mongodb_server}/shop.same_bytes'}
    for name, given in inputs.items():
        done = run_command(
            f'--input={given}', f'--output={tmp_path / name}', '--range_mb=0.02', *options
        )
        assert done.returncode == 0, done.stderr
    made = {name: files(tmp_path / name) for name in inputs}
    kept = {
        name: {file: data for file, data in found.items() if not file.startswith('rejected/')}
        for name, found in made.items()
    }
    assert kept['mongo'] == kept['bson']
    assert {'manifest.json', 'train-00002-of-00003.tfrecord'} < set(kept['mongo'])
    assert json.loads(kept['mongo']['manifest.json'])['ledger']['documents']['read'] == 127
    assert rejected_bytes(tmp_path / 'mongo') == rejected_bytes(tmp_path / 'bson')


def rejected_bytes(output: Path) -> Counter:
    lines = (output / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    with zipfile.ZipFile(output / 'rejected' / 'rejected.zip') as archive:
        return Counter(
            (r['reason'], r['product_id'], r['picture'], content(archive.read(r['bytes']), r))
            for r in map(json.loads, lines)
        )


def content(data: bytes, rejected: dict) -> str:
    """The bytes, or the sorted fields of a document: the server puts _id first."""
    return repr(sorted(bson.decode(data).items()) if rejected['picture'] is None else data)


def untraced(folder: Path) -> dict[str, bytes]:
    """The files of a data set without `products.parquet`, which photos have with integers too."""
    found = files(folder)
    assert found.pop('products.parquet')
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The products as CATEGORY/PRODUCT/VIEW.jpg, those of one photo as CATEGORY/PRODUCT.jpg."""
    folder = tmp_path / 'photos'
    for number, (category, views) in PRODUCTS.items():
        # Half of the categories by their numbers, half by their names.
        label = CATEGORY_IDS.index(category)
        by = str(category) if label < 2 else NAMES[label]
        if len(views) == 1:
            write_photo(folder, f'{by}/{number}.jpg', views[0])
        for view, data in enumerate(views if len(views) > 1 else []):
            write_photo(folder, f'{by}/{number}/{view}.jpg', data)
    write_photo(folder, '.DS_Store', b'hidden')
    write_photo(folder, f'{CATEGORY_IDS[0]}/.thumbs/1.jpg', b'hidden')
    return folder


@pytest.mark.parametrize('range_bytes', [1, 3000, 1 << 30])
def test_folders_by_category_give_the_bytes_of_bson(
    range_bytes: int,
    wanted: dict[str, bytes],
    photos: Path,
    categories_path: Path,
    tmp_path: Path,
) -> None:
    run_job(photos, categories_path, tmp_path / 'out', range_bytes=range_bytes, **OPTIONS)
    assert untraced(tmp_path / 'out') == wanted


def rows(folder: Path) -> list[dict[str, object]]:
    """The products as the rows of a list, not in order."""
    found = [
        {
            'path': write_photo(folder, f'all/{number:03}-{view}.jpg', data),
            'category': category,
            'product': number,
        }
        for number, (category, views) in PRODUCTS.items()
        for view, data in enumerate(views)
    ]
    return found[1::2] + found[::2]


def write_csv(path: Path, listed: list[dict[str, object]]) -> Path:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, listed[0].keys())
        writer.writeheader()
        writer.writerows(listed)
    return path


def write_parquet(path: Path, listed: list[dict[str, object]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(listed), path)
    return path


@pytest.mark.parametrize(('name', 'write'), [('a.csv', write_csv), ('a.parquet', write_parquet)])
def test_a_list_gives_the_bytes_of_bson(
    name: str,
    write: Callable[..., Path],
    wanted: dict[str, bytes],
    categories_path: Path,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / name, rows(tmp_path))
    run_job(path, categories_path, tmp_path / 'out', range_bytes=20_000, **OPTIONS)
    assert untraced(tmp_path / 'out') == wanted
    traced = parquet.read_table(tmp_path / 'out' / 'products.parquet').to_pylist()
    first_row = 2 if name == 'a.csv' else 1  # a spreadsheet shows the header too
    for row in traced:
        assert (row['key'], row['file']) == (None, str(path))
        listed = rows(tmp_path)[row['offset'] - first_row]
        assert (row['product_id'], row['category_id']) == (listed['product'], listed['category'])
        assert row['place'] == str(tmp_path / str(listed['path']))
    assert {row['product_id'] for row in traced} == set(PRODUCTS)


def test_worker_processes_read_photos_to_the_same_bytes(
    wanted: dict[str, bytes], photos: Path, categories_path: Path, tmp_path: Path
) -> None:
    beam = ('--runner=FnApiRunner', '--direct_num_workers=2')
    run_job(photos, categories_path, tmp_path / 'out', beam=beam, range_bytes=9000, **OPTIONS)
    assert untraced(tmp_path / 'out') == wanted


def test_unusable_photos_are_rejected_with_their_paths(
    categories_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'photos'
    fine = write_photo(folder, f'{CATEGORY_IDS[0]}/1.jpg', jpeg(1))
    write_photo(folder, f'{CATEGORY_IDS[0]}/2/a.jpg', jpeg(2))
    write_photo(folder, f'{CATEGORY_IDS[0]}/2/b.jpg', b'not a picture')
    write_photo(folder, f'{CATEGORY_IDS[0]}/2/notes.txt', b'passed over')
    write_photo(folder, '77/3.jpg', jpeg(3))
    write_photo(folder, 'loose.jpg', jpeg(4))
    for number in range(1001):
        write_photo(folder, f'{CATEGORY_IDS[1]}/5/{number}.jpg', b'')
    options = {'max_rejected_fraction': 1.0, 'validation_fraction': 0}
    run_job(folder, categories_path, tmp_path / 'out', **options)
    (records,) = read_split(tmp_path / 'out', 'train')
    found = {record.product_id: list(record.pictures) for record in records}
    assert found == {1: [jpeg(1)], 2: [jpeg(2)]}
    lines = (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    pieces = {str(Path(p['place']).relative_to(folder)): p for p in map(json.loads, lines)}
    assert {name: (p['reason'], p['picture']) for name, p in pieces.items()} == {
        '1000000300/2/b.jpg': ('not_a_picture', 1),
        '77/3.jpg': ('unknown_category', None),
        'loose.jpg': ('above_categories', None),
        '1000000100/5/0.jpg': ('too_many_pictures', None),
    }
    assert fine not in pieces
    with zipfile.ZipFile(tmp_path / 'out' / 'rejected' / 'rejected.zip') as archive:
        assert archive.read(pieces['1000000300/2/b.jpg']['bytes']) == b'not a picture'
        kept = bson.decode(archive.read(pieces['77/3.jpg']['bytes']))
    assert kept == {'_id': 3, 'imgs': [{'picture': jpeg(3)}], 'category_id': 77}


def test_a_listed_photo_without_a_file_is_rejected_as_missing(
    categories_path: Path, tmp_path: Path
) -> None:
    listed = rows(tmp_path)
    (tmp_path / 'all' / '002-1.jpg').unlink()
    path = write_csv(tmp_path / 'list.csv', listed)
    run_job(path, categories_path, tmp_path / 'out', max_rejected_fraction=0.1)
    (line,) = (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    piece = json.loads(line)
    assert (piece['reason'], piece['product_id'], piece['picture']) == ('missing', 2, 1)
    assert piece['place'] == str(tmp_path / 'all' / '002-1.jpg')


def test_folders_are_the_tree_where_there_is_no_file(tmp_path: Path) -> None:
    for number in range(20):
        name = f'{("Shoes/Boots", "Shoes/Heels", "Hats")[number % 3]}/{number}.jpg'
        write_photo(tmp_path / 'photos', name, jpeg(number))
    write_photo(tmp_path / 'photos', 'Hats/Thumbs.db', b'clutter')
    out = tmp_path / 'out'
    write_photo(tmp_path / 'photos', 'Shoes/stray.jpg', jpeg(98))
    refused = run_command(f'--input={tmp_path / "photos"}', f'--output={out}')
    assert refused.returncode == 2
    assert 'got 1 of 21 photos beside folders of photos (Shoes 1); move them' in refused.stderr
    done = run_command(
        f'--input={tmp_path / "photos"}', f'--output={out}', '--max_rejected_fraction=0.1'
    )
    assert done.returncode == 0, done.stderr
    assert '\ncategories 3 from the folders: Hats, Shoes > Boots, Shoes > Heels\n' in done.stdout
    assert '\nrejected   1 document: above_categories 1\n' in done.stdout
    (line,) = (out / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    assert json.loads(line)['place'] == str(tmp_path / 'photos' / 'Shoes' / 'stray.jpg')
    assert 'note       files passed over that are no photos: 1\n' in done.stdout
    text = 'category_id,category_level1,category_level2\n0,Hats,\n1,Shoes,Boots\n2,Shoes,Heels\n'
    assert (out / 'category_names.csv').read_text() == text
    records = [record for shard in read_split(out, 'train') for record in shard]
    assert {record.category.label for record in records} == {0, 1, 2}
    (tmp_path / 'photos' / 'Shoes' / 'stray.jpg').unlink()
    write_photo(tmp_path / 'photos', 'Hots/1.jpg', jpeg(99))
    failed = run_command(
        f'--input={tmp_path / "photos"}',
        f'--output={tmp_path / "other"}',
        f'--categories={out / "category_names.csv"}',
    )
    assert failed.returncode == 2
    assert "got 'Hots' (1 photo; the nearest category is 'Hats'); rename" in failed.stderr
