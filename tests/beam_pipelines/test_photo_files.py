"""Photos in files of their own: by folders, by lists; the same products give the same bytes."""

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import bson
import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_pipelines.scan.scan import Counts
from beam_pipelines.sources import opening
from beam_pipelines.table import join
from catalog import categories
from catalog.errors import UserError
from tests.beam_pipelines.shop import CATEGORY_IDS, files, jpeg, product, read_split, run_job

OPTIONS = {'balance': 'sqrt', 'shards': 3, 'seed': 7}
NAMES = [f'LEVEL, {number // 2} > MIDDLE > LEAF {number}' for number in range(4)]

# product: its category and its photos
PRODUCTS = {
    number: (CATEGORY_IDS[number % 4], [jpeg(number + view) for view in range(number % 3 + 1)])
    for number in range(60)
}


@pytest.fixture(scope='module')
def wanted(categories_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the same products give from BSON."""
    folder = tmp_path_factory.mktemp('bson')
    documents = [product(n, category, photos) for n, (category, photos) in PRODUCTS.items()]
    (folder / 'train.bson').write_bytes(b''.join(documents))
    run_job(folder / 'train.bson', categories_path, folder / 'out', **OPTIONS)
    return files(folder / 'out')


def put(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The products as CATEGORY/PRODUCT/VIEW.jpg, those of one photo as CATEGORY/PRODUCT.jpg."""
    folder = tmp_path / 'photos'
    for number, (category, views) in PRODUCTS.items():
        # Half of the categories by their numbers, half by their names.
        label = CATEGORY_IDS.index(category)
        by = str(category) if label < 2 else NAMES[label]
        if len(views) == 1:
            put(folder, f'{by}/{number}.jpg', views[0])
        for view, data in enumerate(views if len(views) > 1 else []):
            put(folder, f'{by}/{number}/{view}.jpg', data)
    put(folder, '.DS_Store', b'hidden')
    put(folder, f'{CATEGORY_IDS[0]}/.thumbs/1.jpg', b'hidden')
    return folder


@pytest.mark.parametrize('range_bytes', [1, 3000, 1 << 30])
def test_folders_by_category_give_the_bytes_of_a_dump(
    range_bytes: int,
    wanted: dict[str, bytes],
    photos: Path,
    categories_path: Path,
    tmp_path: Path,
) -> None:
    run_job(photos, categories_path, tmp_path / 'out', range_bytes=range_bytes, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


def rows(folder: Path) -> list[dict[str, object]]:
    """The rows of a list of the products, whose photos lie in one folder; not in order."""
    found = [
        {
            'path': put(folder, f'all/{number:03}-{view}.jpg', data),
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
def test_a_list_gives_the_bytes_of_a_dump(
    name: str,
    write: Callable[..., Path],
    wanted: dict[str, bytes],
    categories_path: Path,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / name, rows(tmp_path))
    run_job(path, categories_path, tmp_path / 'out', range_bytes=20_000, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


def test_processes_read_photos_to_the_same_bytes(
    wanted: dict[str, bytes], photos: Path, categories_path: Path, tmp_path: Path
) -> None:
    beam = ('--runner=FnApiRunner', '--direct_num_workers=2')
    run_job(photos, categories_path, tmp_path / 'out', beam=beam, range_bytes=9000, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


def test_what_cannot_be_used_is_kept_aside_with_its_path(
    categories_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'photos'
    fine = put(folder, f'{CATEGORY_IDS[0]}/1.jpg', jpeg(1))
    put(folder, f'{CATEGORY_IDS[0]}/2/a.jpg', jpeg(2))
    put(folder, f'{CATEGORY_IDS[0]}/2/b.txt', b'not a picture')
    put(folder, '77/3.jpg', jpeg(3))
    put(folder, 'loose.jpg', jpeg(4))
    for number in range(1001):
        put(folder, f'{CATEGORY_IDS[1]}/5/{number}.jpg', b'')
    options = {'max_rejected_fraction': 1.0, 'validation_fraction': 0}
    run_job(folder, categories_path, tmp_path / 'out', **options)
    (records,) = read_split(tmp_path / 'out', 'train')
    found = {record.product_id: list(record.pictures) for record in records}
    assert found == {1: [jpeg(1)], 2: [jpeg(2)]}
    lines = (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    pieces = {str(Path(p['place']).relative_to(folder)): p for p in map(json.loads, lines)}
    assert {name: (p['reason'], p['picture']) for name, p in pieces.items()} == {
        '1000000300/2/b.txt': ('not_a_picture', 1),
        '77/3.jpg': ('unknown_category', None),
        'loose.jpg': ('unlabelled', None),
        '1000000100/5/0.jpg': ('too_many_pictures', None),
    }
    assert fine not in pieces
    with zipfile.ZipFile(tmp_path / 'out' / 'rejected' / 'rejected.zip') as archive:
        assert archive.read(pieces['1000000300/2/b.txt']['bytes']) == b'not a picture'
        kept = bson.decode(archive.read(pieces['77/3.jpg']['bytes']))
    assert kept == {'_id': 3, 'imgs': [{'picture': jpeg(3)}], 'category_id': 77}


def test_a_listed_photo_that_is_not_there_is_rejected_as_missing(
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


def test_products_without_a_number_get_an_id_that_their_path_decides(tmp_path: Path) -> None:
    names = ['red shoes/front.jpg', 'red shoes/side.jpg', 'blue.jpg', 'Blue.jpg', '12.jpg']
    for name in names:
        put(tmp_path / 'photos', name, jpeg(len(name)))
    source = opening.open_source([str(tmp_path / 'photos')], tree=None)
    counts = Counts()
    scans = [
        source.scan(scanned, label_of=None, decode=False) for scanned in source.split(range_bytes=1)
    ]
    for scan in scans:
        counts.add(scan.counts)
    ids = join(scan.table for scan in scans)['product_id'].tolist()
    assert counts.documents == {'read': 4}
    assert counts.pictures == {'read': 5}
    assert len(set(ids)) == 4
    assert 12 in ids
    assert all(0 <= number < 2**63 for number in ids)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('file,category\na.jpg,1\n', 'must have the columns path, category and perhaps product'),
        ('path,category\na.jpg,one\n', 'must be a list of photos, got: In CSV column #1: Row #2'),
        ('path,category\na.jpg\n', 'must be a list of photos, got: CSV parse error: Row #2'),
    ],
)
def test_what_is_wrong_with_a_list_is_told_in_one_line(
    content: str, message: str, categories_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / 'list.csv'
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        opening.open_source([str(path)], tree=categories.load(str(categories_path)))
    assert f'{path}: {message}' in str(caught.value)


def test_folders_that_name_no_category_are_refused(categories_path: Path, tmp_path: Path) -> None:
    put(tmp_path / 'photos', 'SHOES/1.jpg', jpeg(1))
    tree = categories.load(str(categories_path))
    with pytest.raises(UserError, match=r"must be named by a category_id or as .*, got 'SHOES'"):
        opening.open_source([str(tmp_path / 'photos')], tree=tree)
