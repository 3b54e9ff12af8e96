import collections
import csv
import io
import shutil
import subprocess
import sys
from pathlib import Path

import bson
import numpy as np
import pytest
from PIL import Image

from catalog import categories
from catalog.errors import UserError
from catalog.samples import dump, fashion, fashion_photos

# Class sizes of the long tail with imbalance 100, by the order of labels in Fashion-MNIST's README.
FRENCH = {
    'T-SHIRT - DEBARDEUR': 6000,
    'PANTALON': 3596,
    'PULL - SWEAT': 2156,
    'ROBE': 1292,
    'MANTEAU': 774,
    'SANDALE': 464,
    'CHEMISE': 278,
    'BASKET': 166,
    'SAC A MAIN': 100,
    'BOTTINE': 60,
}


@pytest.fixture(scope='session')
def photos() -> fashion_photos.Photos:
    try:
        return fashion_photos.find(fashion_photos.default_cache())
    except dump.NoPhotos as error:
        pytest.skip(str(error))


@pytest.fixture(scope='module')
def folder(photos: fashion_photos.Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('fashion')
    fashion.write(str(folder), photos, fashion.Options())
    return folder


def documents(path: Path) -> list[dict]:
    with path.open('rb') as file:
        return list(bson.decode_file_iter(file))


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)))


def write(folder: Path, photos: fashion_photos.Photos, **options) -> dict[str, bytes]:
    fashion.write(str(folder), photos, fashion.Options(**options))
    return {path.name: path.read_bytes() for path in sorted(folder.glob('*.*'))}


def test_fashion_mnist_has_70000_photos_in_ten_balanced_classes(photos):
    assert photos.train_images.shape == (60000, 28, 28)
    assert photos.test_images.shape == (10000, 28, 28)
    assert np.bincount(photos.train_labels).tolist() == [6000] * 10
    assert np.bincount(photos.test_labels).tolist() == [1000] * 10
    # The well-known first photos: an ankle boot, two T-shirts, a dress.
    assert photos.train_labels[:4].tolist() == [9, 0, 0, 3]


def test_documents_have_the_keys_of_the_genuine_dump_in_order(folder):
    train = (folder / 'train.bson').read_bytes()
    length = int.from_bytes(train[:4], 'little')
    assert train[4:9] == b'\x10_id\0'  # int32
    assert train[13:19] == b'\x04imgs\0'  # array
    assert train[23:35] == b'\x030\0' + train[26:30] + b'\x05pict'  # binary, in a document
    assert train[38:39] + train[43:44] == b'\0\0'  # subtype 0
    assert train[length - 18 : length - 5] == b'\x10category_id\0'  # int32, last
    assert list(documents(folder / 'train.bson')[0]) == ['_id', 'imgs', 'category_id']
    assert list(documents(folder / 'test.bson')[0]) == ['_id', 'imgs']


def test_class_sizes_follow_the_long_tail_formula(folder):
    tree = categories.load(str(folder / 'category_names.csv'))
    counts = collections.Counter()
    for product in documents(folder / 'train.bson'):
        counts[tree.names[tree.label_by_id[product['category_id']]][2]] += len(product['imgs'])
    assert counts == FRENCH


def test_without_imbalance_every_train_photo_is_used_once(photos):
    products = fashion.train_products(photos.train_labels, fashion.Options(imbalance=1))
    rows = [row for product in products for row in product.rows]
    assert sorted(rows) == list(range(60000))


def test_products_have_the_requested_number_of_photos(photos):
    for views in (1, 4):
        products = fashion.train_products(
            photos.train_labels, fashion.Options(imbalance=1, views=views)
        )
        assert {len(product.rows) for product in products} == {views}
        assert len(products) == 60000 // views


def test_each_picture_is_a_unique_photo_of_its_class(photos, folder):
    label_of = {row[0]: label for label, row in enumerate(fashion.TREE)}
    by_label = [photos.train_images[photos.train_labels == label] for label in range(10)]
    found = []
    for product in documents(folder / 'train.bson')[:50]:
        label = label_of[product['category_id']]
        for image in product['imgs']:
            off = np.abs(by_label[label] - pixels(image['picture']).astype(np.int16))
            means = off.mean(axis=(1, 2))
            assert means.min() < 4  # JPEG at 95 changes a pixel by a few shades
            found.append((label, int(means.argmin())))
    assert len(set(found)) == len(found)


def test_pictures_are_grey_jpeg_of_28_pixels(folder):
    for product in documents(folder / 'test.bson')[:50]:
        for image in product['imgs']:
            picture = Image.open(io.BytesIO(image['picture']))
            assert (picture.format, picture.mode, picture.size) == ('JPEG', 'L', (28, 28))


def test_products_have_one_to_four_pictures_in_kaggles_proportions(folder):
    views = collections.Counter(len(p['imgs']) for p in documents(folder / 'train.bson'))
    share = {n: count / sum(views.values()) for n, count in views.items()}
    assert share == pytest.approx({1: 0.618, 2: 0.160, 3: 0.077, 4: 0.146}, abs=0.02)


def test_product_ids_ascend_and_are_split_between_train_and_test(folder):
    train = [product['_id'] for product in documents(folder / 'train.bson')]
    test = [product['_id'] for product in documents(folder / 'test.bson')]
    assert train == sorted(train)
    assert test == sorted(test)
    assert sorted(train + test) == list(range(len(train) + len(test)))


def test_classes_come_in_random_order(folder):
    classes = [product['category_id'] for product in documents(folder / 'train.bson')]
    half = len(classes) // 2
    largest = 1000016018
    assert classes[:half].count(largest) == pytest.approx(classes[half:].count(largest), rel=0.1)


def test_test_labels_score_a_prediction(photos, folder):
    with (folder / 'test_labels.csv').open() as file:
        rows = list(csv.DictReader(file))
    test = documents(folder / 'test.bson')
    assert [int(row['_id']) for row in rows] == [product['_id'] for product in test]
    counts = collections.Counter()
    for row, product in zip(rows, test, strict=True):
        counts[int(row['category_id'])] += len(product['imgs'])
    assert set(counts.values()) == {1000}
    assert sum(counts.values()) == len(photos.test_images)


def test_the_tree_has_three_levels_sorted_by_name_and_ids_that_are_not_labels(folder):
    tree = categories.load(str(folder / 'category_names.csv'))
    assert len(tree) == 10
    assert list(tree.names) == sorted(tree.names)
    assert tree.ids.tolist() != sorted(tree.ids.tolist())
    assert min(tree.ids) > 1_000_000_000
    assert (tree.parents[0].max() + 1, tree.parents[1].max() + 1) == (3, 6)


def test_a_few_test_photos_are_written_as_files(folder):
    first = documents(folder / 'test.bson')[:6]
    found = {path.name: path.read_bytes() for path in (folder / 'photos').iterdir()}
    assert found == {f'product-{p["_id"]}.jpg': p['imgs'][0]['picture'] for p in first}


def test_the_bytes_depend_on_the_seed(photos, tmp_path):
    first = write(tmp_path / 'a', photos, products=100)
    again = write(tmp_path / 'b', photos, products=100)
    other = write(tmp_path / 'c', photos, products=100, seed=1)
    assert sorted(first) == ['category_names.csv', 'test.bson', 'test_labels.csv', 'train.bson']
    assert first == again
    assert first['train.bson'] != other['train.bson']


def test_test_products_have_their_category_if_requested(photos, folder, tmp_path):
    write(tmp_path, photos, products=10, labelled_test=True)
    labels = (folder / 'test_labels.csv').read_text().splitlines()[1:]
    plain, labelled = (documents(path / 'test.bson') for path in (folder, tmp_path))
    assert [f'{p["_id"]},{p["category_id"]}' for p in labelled] != labels  # other ids
    assert not any('category_id' in p for p in plain)
    given = dict(line.split(',') for line in (tmp_path / 'test_labels.csv').read_text().split()[1:])
    assert {str(p['_id']): str(p['category_id']) for p in labelled} == given


def test_wrong_labels_have_the_requested_share_and_are_listed(photos, folder, tmp_path):
    write(tmp_path, photos, wrong_labels=0.1)
    right = {p['_id']: p for p in documents(folder / 'train.bson')}
    written = {p['_id']: p for p in documents(tmp_path / 'train.bson')}
    with (tmp_path / 'wrong_labels.csv').open() as file:
        rows = [{name: int(value) for name, value in row.items()} for row in csv.DictReader(file)]

    assert [p['imgs'] for p in written.values()] == [p['imgs'] for p in right.values()]
    different = [i for i in written if written[i]['category_id'] != right[i]['category_id']]
    assert [row['_id'] for row in rows] == different
    assert len(rows) == round(0.1 * len(written))
    for row in rows:
        assert row['category_id'] == written[row['_id']]['category_id']
        assert row['right_category_id'] == right[row['_id']]['category_id']
    counts = collections.Counter(row['category_id'] for row in rows)
    assert len(counts) == 10
    assert max(counts.values()) < 2 * len(rows) / 10
    assert (tmp_path / 'test_labels.csv').read_bytes() == (folder / 'test_labels.csv').read_bytes()
    assert not (folder / 'wrong_labels.csv').exists()


def test_fewer_products_keep_every_class(photos, tmp_path):
    sample = fashion.write(str(tmp_path), photos, fashion.Options(products=10))
    assert sample.train.products == 10
    assert len({p['category_id'] for p in documents(tmp_path / 'train.bson')}) == 10


def test_more_products_than_photos_are_an_error(photos):
    with pytest.raises(
        UserError, match=r'products must be at most \d+ at this imbalance, got 1000000'
    ):
        fashion.train_products(photos.train_labels, fashion.Options(products=1_000_000))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'imbalance': 0.5}, 'imbalance must be from 1 to 1000, got 0.5'),
        ({'products': 9}, 'products must be at least 10, one per class, got 9'),
        ({'wrong_labels': 1.0}, r'wrong_labels must be in \[0, 1\), got 1'),
        ({'views': 5}, 'views must be from 1 to 4, got 5'),
    ],
)
def test_invalid_options_are_an_error(options, message):
    with pytest.raises(UserError, match=message):
        fashion.Options(**options)


def test_a_damaged_download_is_not_used(photos, tmp_path, monkeypatch):
    cache = fashion_photos.default_cache()
    if not (cache / 'train-images-idx3-ubyte.gz').exists():
        pytest.skip(f'{cache}: nothing was downloaded, the Debian package is installed')
    broken = tmp_path / 'cache'
    shutil.copytree(cache, broken)
    for name in ('t10k-labels-idx1-ubyte.gz', 't10k-images-idx3-ubyte.gz'):
        shutil.copyfile(broken / 'train-labels-idx1-ubyte.gz', broken / name)
    if Path('/usr/share/datasets/fashion-mnist').exists():
        assert 'earlier download' not in fashion_photos.find(broken).source
        return
    monkeypatch.setenv('PATH', str(tmp_path))  # no apt-get
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python'))  # no Keras
    with pytest.raises(dump.NoPhotos) as error:
        fashion_photos.find(broken)
    assert 't10k-images-idx3-ubyte.gz must have the SHA-256' in str(error.value)
    assert 'apt-get is not installed' in str(error.value)


def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'catalog.samples', *arguments],
        capture_output=True,
        text=True,
        env={**environment},
        cwd=Path(__file__).parents[2],
    )


def test_if_the_photos_are_unavailable_the_exit_code_is_3_and_each_source_is_named(tmp_path):
    if Path('/usr/share/datasets/fashion-mnist').exists():
        pytest.skip('the Debian package is installed, so the photos are available')
    # No apt-get on the path; Keras cannot download through a proxy that does not exist.
    done = run_command(
        'fashion',
        f'--output={tmp_path}/out',
        f'--cache={tmp_path}/cache',
        PATH=str(tmp_path),
        HOME=str(tmp_path),
        https_proxy='http://127.0.0.1:9',
        TF_CPP_MIN_LOG_LEVEL='2',
    )
    assert done.returncode == 3
    assert done.stderr.count('\n') == 1
    for source in ('earlier download', 'Debian package', 'apt-get download', 'Keras'):
        assert source in done.stderr
    assert not (tmp_path / 'out').exists()


def test_a_sample_is_only_replaced_with_overwrite(photos, tmp_path):
    fashion.write(str(tmp_path), photos, fashion.Options(products=10))
    before = (tmp_path / 'train.bson').read_bytes()
    with pytest.raises(UserError, match='add --overwrite'):
        dump.check_replaceable(str(tmp_path), overwrite=False)
    refused = run_command('fashion', f'--output={tmp_path}')
    assert refused.returncode == 2
    assert 'add --overwrite' in refused.stderr
    assert (tmp_path / 'train.bson').read_bytes() == before


def test_an_unknown_sample_is_an_error_that_lists_the_samples():
    done = run_command('fashon', '--output=anywhere')
    assert done.returncode == 2
    assert 'must be one of fashion, grocery, kaggle-like, got fashon' in done.stderr


def test_a_flag_of_the_other_sample_is_an_error():
    done = run_command('fashion', '--output=anywhere', '--classes=3')
    assert done.returncode == 2
    assert '--classes is only for kaggle-like' in done.stderr


def test_help_shows_examples():
    done = run_command('--help')
    assert 'python -m catalog.samples fashion --output=' in done.stdout
    assert '--imbalance' in done.stdout
