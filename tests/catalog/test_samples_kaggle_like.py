import collections
import csv
import hashlib
import io
import itertools
import json
import subprocess
import sys
from pathlib import Path

import bson
import numpy as np
import pytest
from PIL import Image

from catalog import categories, storage
from catalog.errors import UserError
from catalog.samples import drawing, dump, french_tree, kaggle_like, kaggle_plan, long_tail
from catalog.samples.kaggle_plan import Options

GENUINE = Path(__file__).parents[3] / 'shared' / 'data'


@pytest.fixture
def genuine() -> Path:
    if not GENUINE.exists():
        pytest.skip(f"{GENUINE}: Kaggle's files are not on this machine")
    return GENUINE


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('like')
    options = Options(products=800, test_products=200, classes=60)
    kaggle_like.write(str(folder), options, workers=2)
    return folder


@pytest.fixture(scope='module')
def plan() -> kaggle_plan.Plan:
    return kaggle_plan.build_plan(Options(products=100_000, test_products=25_000, classes=5_270))


def documents(path: Path) -> list[dict]:
    with path.open('rb') as file:
        return list(bson.decode_file_iter(file))


def pictures(path: Path) -> list[bytes]:
    return [image['picture'] for product in documents(path) for image in product['imgs']]


def files(folder: Path, *, workers: int = 1, **options: int) -> dict[str, bytes]:
    kaggle_like.write(
        str(folder),
        Options(**{'products': 300, 'test_products': 30, 'classes': 20, **options}),
        workers=workers,
    )
    return {path.name: path.read_bytes() for path in sorted(folder.glob('*.*'))}


def picture_products(plan: kaggle_plan.Plan) -> np.ndarray:
    """Returns the product of each picture, int64 [V]."""
    return np.repeat(np.arange(len(plan.label)), np.diff(plan.first))


def test_documents_have_the_keys_and_types_of_the_genuine_dump(folder, genuine):
    for ours, theirs in zip(
        documents(folder / 'train.bson')[:20],
        documents(genuine / 'train_example.bson')[:20],
        strict=True,
    ):
        assert list(ours) == list(theirs) == ['_id', 'imgs', 'category_id']
        assert [type(value) for value in ours.values()] == [type(v) for v in theirs.values()]
        assert [list(image) for image in ours['imgs']] == [['picture']] * len(ours['imgs'])
        assert {type(image['picture']) for image in ours['imgs']} == {bytes}


def test_test_products_are_unlabelled_and_their_labels_are_in_a_file(folder):
    test = documents(folder / 'test.bson')
    assert {tuple(product) for product in test} == {('_id', 'imgs')}
    with (folder / 'test_labels.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row['_id']) for row in rows] == [product['_id'] for product in test]
    tree = categories.load(str(folder / 'category_names.csv'))
    assert {int(row['category_id']) for row in rows} <= set(tree.ids.tolist())


def test_product_ids_ascend_and_are_split_between_train_and_test(folder):
    train = [product['_id'] for product in documents(folder / 'train.bson')]
    test = [product['_id'] for product in documents(folder / 'test.bson')]
    assert (len(train), len(test)) == (800, 200)
    assert train == sorted(train)
    assert test == sorted(test)
    assert sorted(train + test) == list(range(1000))


def test_pictures_are_colour_baseline_jpeg_of_180_pixels_with_half_chroma(folder):
    for data in pictures(folder / 'train.bson')[:100]:
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.mode, picture.size) == ('JPEG', 'RGB', (180, 180))
        assert [component[1:3] for component in picture.layer] == [(2, 2), (1, 1), (1, 1)]
        assert 'progressive' not in picture.info
        picture.load()


def test_pictures_have_the_quantisation_of_the_genuine_ones(folder, genuine):
    theirs = Image.open(io.BytesIO(pictures(genuine / 'train_example.bson')[0]))
    for data in pictures(folder / 'train.bson')[:20]:
        ours = Image.open(io.BytesIO(data))
        assert ours.quantization == theirs.quantization
        assert ours.layer == theirs.layer
        assert ours.info == theirs.info


def test_file_sizes_are_similar_to_the_genuine_ones(folder, genuine):
    ours = np.array([len(data) for data in pictures(folder / 'train.bson')])
    theirs = np.array([len(data) for data in pictures(genuine / 'train_example.bson')])
    assert ours.mean() == pytest.approx(5_700, rel=0.1)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.2)
    for percent in (5, 25, 50, 75, 95):
        assert np.percentile(ours, percent) == pytest.approx(
            np.percentile(theirs, percent), rel=0.2
        )


def test_unique_pictures_differ_in_their_pixels(folder):
    unique = set(pictures(folder / 'train.bson'))
    shown = {hashlib.sha256(Image.open(io.BytesIO(data)).tobytes()).digest() for data in unique}
    assert len(shown) == len(unique)


def test_pictures_of_a_class_look_alike():
    looks = [drawing.draw_look(label, level1=label, seed=0) for label in range(10)]
    drawn = [
        [drawing.draw_picture(look, product=product, view=0, seed=0) for product in range(40)]
        for look in looks
    ]
    tiny = np.array(
        [
            [np.asarray(Image.open(io.BytesIO(data)).resize((12, 12)), np.float32) for data in row]
            for row in drawn
        ]
    ).reshape(10, 40, -1)
    means = tiny[:, :20].mean(axis=1)
    nearest = ((tiny[:, 20:, None] - means) ** 2).sum(axis=3).argmin(axis=2)  # [10, 20]
    assert (nearest == np.arange(10)[:, None]).mean() > 0.4  # by chance 0.1


def test_one_and_two_processes_write_the_same_bytes(tmp_path):
    one = files(tmp_path / 'one', workers=1)
    two = files(tmp_path / 'two', workers=2)
    assert sorted(one) == ['category_names.csv', 'test.bson', 'test_labels.csv', 'train.bson']
    assert one == two


def test_pictures_and_tree_depend_on_the_seed(tmp_path):
    first, other = files(tmp_path / 'a'), files(tmp_path / 'b', seed=1)
    assert first['category_names.csv'] != other['category_names.csv']
    assert not set(pictures(tmp_path / 'a' / 'train.bson')) & set(
        pictures(tmp_path / 'b' / 'train.bson')
    )


def test_without_test_products_an_earlier_test_file_is_deleted(tmp_path):
    files(tmp_path, products=20)
    assert sorted(files(tmp_path, products=20, test_products=0)) == [
        'category_names.csv',
        'train.bson',
    ]


def test_products_have_one_to_four_pictures_in_kaggles_proportions(plan):
    share = np.bincount(np.diff(plan.first), minlength=5) / len(plan.label)
    wanted = np.array([0, 4_369_441, 1_128_588, 542_792, 1_029_075]) / 7_069_896
    assert share == pytest.approx(wanted, abs=1e-4)


def test_the_share_of_duplicate_images_is_that_of_kaggles_train_data(plan):
    in_train = ~plan.is_test[picture_products(plan)]
    unique = len(np.unique(plan.source[in_train]))
    assert unique / in_train.sum() == pytest.approx(7_772_910 / 12_371_293, abs=1e-4)


def test_the_share_of_test_products_with_a_picture_in_train_is_that_of_kaggles(plan):
    product = picture_products(plan)
    is_test = plan.is_test[product]
    shared = np.isin(plan.source, plan.source[~is_test]) & is_test
    share = len(np.unique(product[shared])) / plan.is_test.sum()
    assert share == pytest.approx(0.42, abs=0.02)


def test_the_share_of_pictures_in_two_categories_is_close_to_kaggles(plan):
    product = picture_products(plan)
    in_train = ~plan.is_test[product]
    pairs = set(zip(plan.source[in_train], plan.label[product[in_train]], strict=True))
    labels = collections.Counter(source for source, _ in pairs)
    conflicting = sum(count > 1 for count in labels.values())
    assert conflicting / len(labels) == pytest.approx(114_209 / 7_772_910, abs=0.005)


def test_a_duplicate_image_shows_the_class_of_its_products(plan):
    product = picture_products(plan)
    assert (plan.shown[product[plan.source]] == plan.shown[product]).all()
    assert (plan.source[plan.source] == plan.source).all()


def test_one_product_in_ten_has_a_wrong_label(plan):
    assert (plan.label != plan.shown).mean() == pytest.approx(0.1, abs=1e-4)


def test_duplicate_images_and_wrong_labels_are_written_as_planned(folder):
    plan = kaggle_plan.build_plan(Options(products=800, test_products=200, classes=60))
    tree = categories.load(str(folder / 'category_names.csv'))
    train = documents(folder / 'train.bson')
    ids = [product['_id'] for product in train]
    assert [p['category_id'] for p in train] == tree.ids[plan.label[ids]].tolist()
    data = {}
    for product in train + documents(folder / 'test.bson'):
        for place, image in zip(
            itertools.count(plan.first[product['_id']]), product['imgs'], strict=False
        ):
            data[int(place)] = image['picture']
    assert all(data[place] == data[int(source)] for place, source in enumerate(plan.source))
    assert len(set(data.values())) == len(np.unique(plan.source))


def test_class_sizes_have_kaggles_long_tail(genuine):
    by_class = json.loads((genuine / 'train_images_per_class.json').read_text())
    counts = np.array(sorted(by_class.values()))
    weights = long_tail.kaggle_weights(5_270)
    assert weights.min() == pytest.approx(counts.min(), rel=0.05)
    assert np.median(weights) == pytest.approx(np.median(counts), rel=0.05)
    assert weights.mean() == pytest.approx(counts.mean(), rel=0.1)
    assert weights.max() == pytest.approx(counts.max(), rel=0.05)
    assert weights[-527:].sum() / weights.sum() == pytest.approx(
        counts[-527:].sum() / counts.sum(), abs=0.02
    )


def test_every_class_has_a_product_if_there_are_enough_products():
    plan = kaggle_plan.build_plan(Options(products=500, test_products=0, classes=500))
    assert sorted(plan.label.tolist()) == list(range(500))


@pytest.mark.parametrize(
    ('total', 'weights', 'minimum', 'parts'),
    [
        (10, [1, 1, 2], 0, [3, 2, 5]),
        (10, [98, 1, 1], 1, [8, 1, 1]),
        (2, [5, 3, 1], 1, [1, 1, 0]),
        (0, [1, 1], 0, [0, 0]),
    ],
)
def test_a_total_is_apportioned_by_weight(total, weights, minimum, parts):
    assert long_tail.apportion(total, weights, minimum=minimum).tolist() == parts


def test_the_tree_has_the_proportions_of_kaggles_tree():
    data = french_tree.build_tree(classes=5_270, seed=0)
    tree = categories.parse(data, path='category_names.csv')
    lines = data.decode().splitlines()[1:]
    assert len(tree) == 5_270
    assert list(tree.names) == sorted(tree.names)
    assert tree.ids.tolist() != sorted(tree.ids.tolist())
    assert len({names[0] for names in tree.names}) == 49
    assert len({names[:2] for names in tree.names}) == 486
    assert len({names[1] for names in tree.names}) == 483
    assert len(set(tree.names)) == 5_270
    assert len({names[2] for names in tree.names}) == pytest.approx(5_263, abs=3)
    assert sum('"' in line for line in lines) == pytest.approx(3, abs=1)
    assert sum(not line.isascii() for line in lines) == pytest.approx(20, abs=3)
    spaced = [names for names in tree.names if any(name != name.strip() for name in names)]
    assert len(spaced) == pytest.approx(87, rel=0.3)
    assert any(names[2].startswith(' ') for names in spaced)


def test_no_synthetic_path_is_genuine(genuine):
    ours = categories.parse(
        french_tree.build_tree(classes=5_270, seed=0), path='category_names.csv'
    )
    theirs = categories.load(str(genuine / 'category_names.csv'))
    assert not {names[2] for names in ours.names} & {names[2] for names in theirs.names}


@pytest.mark.parametrize('classes', [1, 2, 3, 10, 50])
def test_a_small_tree_has_the_requested_number_of_leaves(classes):
    tree = categories.parse(
        french_tree.build_tree(classes=classes, seed=0), path='category_names.csv'
    )
    assert len(set(tree.names)) == len(set(tree.ids.tolist())) == classes


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'products': 0}, 'products must be at least 1, got 0'),
        ({'test_products': -1}, 'test_products must be at least 0, got -1'),
        ({'classes': 0}, 'classes must be at least 1, got 0'),
    ],
)
def test_invalid_options_are_an_error(options, message):
    with pytest.raises(UserError, match=message):
        Options(**{'products': 1, 'test_products': 1, 'classes': 1, **options})


def test_more_classes_than_names_are_an_error(tmp_path):
    options = Options(products=10, test_products=0, classes=6_001)
    with pytest.raises(UserError, match='classes must be from 1 to 6000, got 6001'):
        kaggle_like.write(str(tmp_path), options, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_no_train_file(tmp_path):
    def batches():
        yield 1, 1, dump.document(0, pictures=[b'picture'])
        raise OSError(28, 'No space left on device')

    path = storage.join(str(tmp_path), dump.TRAIN)
    with pytest.raises(OSError, match='No space left'):
        dump.write_products(path, batches(), total=2)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_a_summary(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'catalog.samples', 'kaggle-like'),
            *(f'--output={tmp_path}', '--products=40', '--classes=7', '--seed=3'),
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''  # no terminal, no progress
    train, test = documents(tmp_path / 'train.bson'), documents(tmp_path / 'test.bson')
    assert (len(train), len(test)) == (40, 10)
    shown = sum(len(product['imgs']) for product in train)
    for text in ('40 products', f'{shown} pictures', 'classes     7', 'synthetic', 'licence'):
        assert text in done.stdout
