"""From a dump to a submission: the exported model's predictions, also after interruptions."""

import csv
import dataclasses
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bson
import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from catalog.inputs.options import SourceOptions
from catalog.predictions.columns import Columns
from catalog.samples import dump
from tests.trainer.conftest import jpeg
from tests.trainer.exported import export_model
from trainer.export import loading
from trainer.predict import dump_predictions, inputs
from trainer.predict.dump_predictions import Counts, PredictOptions
from trainer.predict.dump_stream import DumpPosition

MOST_COMMON = 1000  # of conftest's data set: the first class has 46 of 98 products
GENUINE = Path(__file__).parents[4] / 'shared' / 'data'

Product = tuple[int, list[bytes]]


@pytest.fixture(scope='module')
def model(exported_model: Path) -> Path:
    return exported_model


@pytest.fixture(scope='module')
def smaller(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same categories with a smaller image size."""
    return export_model(data_folder, tmp_path_factory.mktemp('b'), size=16, seed=1, version=2)


@pytest.fixture(scope='module')
def products() -> list[Product]:
    random = np.random.default_rng(4)
    return [
        (7000 - 3 * i, [jpeg(random, label=i % 4) for _ in range(1 + i % 4)]) for i in range(30)
    ]


def _write(path: Path, products: Sequence[Product]) -> Path:
    path.write_bytes(b''.join(dump.document(i, pictures=pictures) for i, pictures in products))
    return path


def _predict(model: Path, files: Any, output: Path, **options: Any) -> list[dict[str, str]]:
    pattern = str(files) if isinstance(files, Path) else files
    dump_predictions.predict(
        models=[str(model)], pattern=pattern, output=str(output), options=PredictOptions(**options)
    )
    return _read(output)


def _read(output: Path) -> list[dict[str, str]]:
    with output.open(newline='') as file:
        return list(csv.DictReader(file))


def _served(model: Path, products: Sequence[Product]) -> dict[str, np.ndarray]:
    """The outputs of the signature `product`, which TensorFlow Serving calls."""
    signature = tf.saved_model.load(str(model)).signatures['product']
    numbers = [row for row, (_, pictures) in enumerate(products) for _ in pictures]
    answers = signature(
        image_bytes=tf.constant([data for _, pictures in products for data in pictures]),
        product=tf.constant(numbers, tf.int64),
    )
    return {name: value.numpy() for name, value in answers.items()}


def test_rows_are_in_the_order_of_the_dump_and_equal_the_served_predictions(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    test = _write(tmp_path / 'test.bson', products)
    columns = Columns(top_k=3, confidence=True, level=True)
    rows = _predict(model, test, tmp_path / 'all.csv', columns=columns, chunk_products=7)

    served = _served(model, products)
    assert [int(row['_id']) for row in rows] == [product_id for product_id, _ in products]
    names = ['', '_2', '_3']
    ids = [[int(row[f'category_id{name}']) for name in names] for row in rows]
    np.testing.assert_array_equal(ids, served['category_id'][:, :3])
    confidence = [[float(row[f'confidence{name}']) for name in names] for row in rows]
    np.testing.assert_allclose(confidence, served['confidence'][:, :3], atol=1e-5)
    assert [int(row['level']) for row in rows] == served['level'].tolist()
    assert len({row['category_id'] for row in rows}) > 1

    plain = _predict(model, test, tmp_path / 'submission.csv')
    assert list(plain[0]) == ['_id', 'category_id']
    assert [row['category_id'] for row in plain] == [row['category_id'] for row in rows]


def test_the_command_writes_a_kaggle_submission(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    test = _write(tmp_path / 'test.bson', products)
    output = tmp_path / 'out' / 'submission.csv'
    done = _run_command(model=model, input=test, output=output)
    assert done.returncode == 0, done.stderr
    served = _served(model, products)['category_id'][:, 0]
    lines = [f'{product_id},{c}' for (product_id, _), c in zip(products, served, strict=True)]
    assert output.read_text() == '\n'.join(['_id,category_id', *lines]) + '\n'
    assert '30 products, 73 pictures' in done.stdout
    assert os.listdir(output.parent) == ['submission.csv']


def _run_command(**flags: object) -> 'subprocess.CompletedProcess[str]':
    return subprocess.run(_command(**flags), capture_output=True, text=True)


def _command(**flags: object) -> list[str]:
    arguments = [f'--{name}={value}' for name, value in flags.items()]
    return [sys.executable, '-m', 'trainer.predict', *arguments]


def test_undecodable_pictures_are_skipped_and_their_products_still_have_a_row(
    model: Path, products: list[Product], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = products[3][1][:2]
    cut = good[0][: len(good[0]) // 2]
    mixed = [
        (1, [b'not a picture', *good]),
        (2, [cut, good[0]]),
        (3, [cut, b'']),
        (4, []),
        (5, good),
    ]
    test = _write(tmp_path / 'test.bson', mixed)
    columns = Columns(top_k=2, confidence=True, level=True)
    rows = _predict(model, test, tmp_path / 'a.csv', columns=columns, chunk_products=3)

    served = _served(model, [(1, good), (2, good[:1]), (5, good)])['category_id']
    assert [int(row['category_id']) for row in rows] == [
        served[0, 0],
        served[1, 0],
        MOST_COMMON,
        MOST_COMMON,
        served[2, 0],
    ]
    assert rows[2]['category_id_2'] == ''
    assert float(rows[2]['confidence']) == pytest.approx(46 / 98, abs=1e-6)
    assert (rows[2]['level'], rows[3]['level']) == ('0', '0')
    capsys.readouterr()
    counts = dump_predictions.predict(
        models=[str(model)], pattern=str(test), output=f'{tmp_path}/b.csv'
    )
    assert counts == Counts(products=5, pictures=9, unusable_pictures=4, unseen_products=2)
    named = [line for line in capsys.readouterr().err.splitlines() if line.startswith('warning')]
    assert named == [
        f'warning: {test}: product {product}, picture {picture} is undecodable and is passed over'
        for product, picture in [(1, 0), (2, 0), (3, 0), (3, 1)]
    ]


def test_several_files_and_gzip_files_are_one_stream(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    _write(tmp_path / 'part-1.bson', products[:11])
    _write(tmp_path / 'part-2.bson', products[11:])
    whole = _write(tmp_path / 'whole.bson', products)
    with gzip.open(tmp_path / 'whole.bson.gz', 'wb') as file:
        file.write(whole.read_bytes())
    expected = _predict(model, whole, tmp_path / 'whole.csv')
    assert _predict(model, f'{tmp_path}/part-*.bson', tmp_path / 'parts.csv') == expected
    assert _predict(model, tmp_path / 'whole.bson.gz', tmp_path / 'gzip.csv') == expected


def test_several_models_predict_with_the_mean_of_their_calibrated_probabilities(
    model: Path, smaller: Path, products: list[Product], tmp_path: Path
) -> None:
    test = _write(tmp_path / 'test.bson', products)
    columns = Columns(top_k=4, confidence=True)
    dump_predictions.predict(
        models=[str(model), str(smaller)],
        pattern=str(test),
        output=f'{tmp_path}/both.csv',
        options=PredictOptions(columns=columns),
    )

    def by_id(served: dict[str, np.ndarray]) -> np.ndarray:
        order = np.argsort(served['category_id'], axis=1)
        return np.take_along_axis(served['confidence'], order, axis=1)

    mean = (by_id(_served(model, products)) + by_id(_served(smaller, products))) / 2
    ids = np.sort(_served(model, products)['category_id'][0])
    for row, expected in zip(_read(tmp_path / 'both.csv'), mean, strict=True):
        order = np.argsort(-expected, kind='stable')
        names = ['', '_2', '_3', '_4']
        assert [int(row[f'category_id{name}']) for name in names] == ids[order].tolist()
        confidence = [float(row[f'confidence{name}']) for name in names]
        assert confidence == pytest.approx(expected[order].tolist(), abs=1e-5)


def _many(products: Sequence[Product], count: int) -> list[Product]:
    return [(i, products[i % len(products)][1]) for i in range(count)]


def test_the_same_command_resumes_after_kill_9_and_writes_the_same_bytes(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    test = _write(tmp_path / 'test.bson', _many(products, 3000))
    flags = {'model': model, 'input': test, 'chunk_products': 4, 'top_k': 2}
    output = tmp_path / 'killed' / 'submission.csv'
    running = subprocess.Popen(
        _command(output=output, confidence=True, **flags), stderr=subprocess.PIPE
    )
    progress = output.parent / '.progress-submission.csv'
    while not progress.exists():
        assert running.poll() is None, 'the command ended before it was killed'
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not output.exists()
    kept = json.loads(progress.read_bytes())['state']['counts']['products']
    assert 0 < kept < 3000

    done = _run_command(output=output, confidence=True, **flags)
    assert done.returncode == 0, done.stderr
    whole = tmp_path / 'undisturbed.csv'
    options = PredictOptions(columns=Columns(top_k=2, confidence=True), chunk_products=4)
    dump_predictions.predict(
        models=[str(model)], pattern=str(test), output=str(whole), options=options
    )
    assert output.read_bytes() == whole.read_bytes()
    assert '3,000 products' in done.stdout
    assert os.listdir(output.parent) == ['submission.csv']


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda data: data[:-1], r'test\.bson, byte \d+: must be a complete BSON document'),
        (lambda data: data + b'\0' * 9, r'test\.bson, byte \d+: must be a complete BSON document'),
        (lambda data: b'\xff\xff\xff\x7f' + data[4:], 'byte 0: must be a complete BSON document'),
        (lambda data: data.replace(b'_id', b'_ix', 1), 'byte 0: must be a product, got'),
    ],
    ids=['truncated', 'zeros at the end', 'a length of 2 GB', 'no id'],
)
def test_a_damaged_dump_is_an_error_with_its_position(
    model: Path, products: list[Product], tmp_path: Path, damage: Any, message: str
) -> None:
    test = _write(tmp_path / 'test.bson', products)
    test.write_bytes(damage(test.read_bytes()))
    with pytest.raises(UserError, match=message):
        _predict(model, test, tmp_path / 'submission.csv')
    assert not (tmp_path / 'submission.csv').exists()


def test_a_truncated_gzip_file_is_an_error(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    packed = gzip.compress(_write(tmp_path / 'test.bson', products).read_bytes())
    (tmp_path / 'test.bson.gz').write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match=r'test\.bson\.gz: must be an intact gzip file'):
        _predict(model, tmp_path / 'test.bson.gz', tmp_path / 'submission.csv')


def test_an_existing_output_is_only_replaced_with_overwrite(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    test = _write(tmp_path / 'test.bson', products)
    output = tmp_path / 'submission.csv'
    output.write_text('years of work')
    with pytest.raises(UserError, match='must not exist yet, got a file; add --overwrite'):
        _predict(model, test, output)
    assert output.read_text() == 'years of work'
    assert len(_predict(model, test, output, overwrite=True)) == 30


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pattern': 'nowhere.bson'}, '--input must name existing files'),
        ({'pattern': 'photo.jpg'}, r'photo\.jpg: must be BSON documents, got a JPEG image'),
        ({'pattern': 'other.bson'}, r'other\.bson, byte 0: must be a product'),
        ({'pattern': 'cut.bson.gz'}, r'cut\.bson\.gz: must be an intact gzip file'),
        ({'models': ['nowhere']}, 'nowhere: --model must be a version folder'),
    ],
)
def test_overwrite_with_a_wrong_input_keeps_the_existing_output(
    model: Path,
    products: list[Product],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = _write(tmp_path / 'test.bson', products).read_bytes()
    Path('photo.jpg').write_bytes(products[0][1][0])
    Path('other.bson').write_bytes(data.replace(b'_id', b'_ix', 1))
    Path('cut.bson.gz').write_bytes(gzip.compress(data)[:20])
    names = ['submission.csv', '.partial-submission.csv', '.progress-submission.csv']
    for name in names:
        Path(name).write_text('hours of work')
    arguments = {'models': [str(model)], 'pattern': 'test.bson', **change}
    with pytest.raises(UserError, match=message):
        dump_predictions.predict(
            **arguments, output='submission.csv', options=PredictOptions(overwrite=True)
        )
    assert [Path(name).read_text() for name in names] == ['hours of work'] * 3


def test_a_damaged_model_is_refused(model: Path, products: list[Product], tmp_path: Path) -> None:
    broken = tmp_path / '1'
    shutil.copytree(model, broken)
    names = broken / 'assets' / 'category_names.csv'
    names.write_bytes(names.read_bytes()[:-20])
    with pytest.raises(UserError, match=r'category_names\.csv: must have the SHA-256'):
        _predict(broken, _write(tmp_path / 'test.bson', products), tmp_path / 'submission.csv')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'model': 'models'},
            r'must be a version folder .*; it holds the versions 1',
        ),
        ({'model': 'nowhere'}, 'nowhere: --model must be a version folder'),
        ({'input': 'nowhere-*.bson'}, "--input must name existing files, got 'nowhere-"),
        ({'top_k': 0}, '--top_k must be at least 1, got 0'),
        ({'threshold': 2}, r'--threshold must be in \[0, 1\], got 2'),
        ({'chunk_products': 0}, '--chunk_products must be at least 1, got 0'),
    ],
)
def test_a_wrong_argument_is_named(
    model: Path, products: list[Product], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    test = _write(tmp_path / 'test.bson', products[:1])
    flags = {'model': str(model), 'input': str(test), 'output': f'{tmp_path}/s.csv', **change}
    if flags['model'] == 'models':
        flags['model'] = str(model.parent)
    with pytest.raises(UserError, match=message):
        dump_predictions.predict(
            models=[flags['model']],
            pattern=flags['input'],
            output=flags['output'],
            options=PredictOptions(
                columns=Columns(flags.get('top_k', 1)),
                threshold=flags.get('threshold'),
                chunk_products=flags.get('chunk_products', 128),
            ),
        )


def test_the_original_dump_has_a_row_for_each_of_its_82_products(
    model: Path, tmp_path: Path
) -> None:
    genuine = GENUINE / 'train_example.bson'
    if not genuine.exists():
        pytest.skip(f'{genuine}: not there')
    rows = _predict(model, genuine, tmp_path / 'submission.csv')
    assert len(rows) == len({row['_id'] for row in rows}) == 82


def _write_photos(folder: Path, products: list[Product], categories: Sequence[int | str]) -> Path:
    for (product_id, pictures), category in zip(products, categories, strict=True):
        for view, data in enumerate(pictures):
            path = folder / str(category) / str(product_id) / f'{view}.jpg'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder


def test_labelled_photos_and_shards_are_predicted_with_their_accuracy(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    dumped = _predict(model, _write(tmp_path / 'test.bson', products), tmp_path / 'bson.csv')
    wanted = {row['_id']: row['category_id'] for row in dumped}
    # Half of the products have the category that is predicted.
    truth = [
        int(row['category_id']) if n % 2 else {1000: 1007}.get(int(row['category_id']), 1000)
        for n, row in enumerate(dumped)
    ]
    _write_photos(tmp_path / 'photos', products, truth)
    lines = [
        f'photos/{category}/{product_id}/{view}.jpg,{category},{product_id}\n'
        for (product_id, pictures), category in zip(products, truth, strict=True)
        for view in range(len(pictures))
    ]
    (tmp_path / 'list.csv').write_text('path,category,product\n' + ''.join(lines))
    for name in ('photos', 'list.csv'):
        output = tmp_path / f'{name}.out.csv'
        done = _run_command(model=model, input=tmp_path / name, output=output, true_category='true')
        assert done.returncode == 0, done.stderr
        rows = _read(output)
        assert {row['_id']: row['category_id'] for row in rows} == wanted
        found = {int(row['_id']): int(row['true_category_id']) for row in rows}
        assert found == {product_id: c for (product_id, _), c in zip(products, truth, strict=True)}
        assert 'accuracy 0.5000: 15 of 30 labelled products\n' in done.stdout


def test_categories_of_another_tree_are_reported_and_products_without_pictures_predicted(
    model: Path, products: list[Product], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [
        {'_id': number, 'imgs': [{'picture': data} for data in pictures], 'category_id': category}
        for number, pictures, category in [
            (1, [b'no'], 1000),
            (2, [b'no'], 99),
            (3, [b'no'], 98),
            (4, [], 97),
        ]
    ]
    dump = tmp_path / 'other.bson'
    dump.write_bytes(b''.join(map(bson.encode, documents)))
    columns = Columns(true_category=True)
    rows = _predict(model, dump, tmp_path / 'out.csv', columns=columns, chunk_products=1)
    assert [row['true_category_id'] for row in rows] == ['1000', '', '', '']
    assert {row['category_id'] for row in rows} == {str(MOST_COMMON)}
    named = [line for line in capsys.readouterr().err.splitlines() if line.startswith('warning')]
    assert named == [
        f'warning: {dump}: product 1, picture 0 is undecodable and is passed over',
        f'warning: {dump}: product 2, picture 0 is undecodable and is passed over',
        f'warning: {dump}: product 2 has the category 99, which the tree of the model does not '
        'have; such products have no true_category_id and no part in the accuracy',
        f'warning: {dump}: product 3, picture 0 is undecodable and is passed over',
    ]


def test_shards_of_another_tree_are_predicted_without_accuracy(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    _write_photos(tmp_path / 'photos', products, [1000 + n % 2 for n in range(len(products))])
    arguments = [f'--input={tmp_path}/photos', f'--output={tmp_path}/shards']
    command = [sys.executable, '-m', 'beam_pipelines.shard', *arguments, '--product_folders']
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    done = _run_command(
        model=model, input=tmp_path / 'shards' / 'train-*.tfrecord', output=tmp_path / 'out.csv'
    )
    assert done.returncode == 0, done.stderr
    assert 'shards/category_names.csv is not the category tree of the model' in done.stderr
    assert 'accuracy' not in done.stdout


def test_photos_without_categories_are_predicted(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    dumped = _predict(model, _write(tmp_path / 'test.bson', products), tmp_path / 'bson.csv')
    photos = _write_photos(tmp_path / 'photos', products, ['.'] * len(products))
    rows = _predict(model, photos, tmp_path / 'photos.csv')
    assert sorted(rows, key=str) == sorted(dumped, key=str)


@pytest.mark.parametrize(('kind', 'compression'), [('product', 'none'), ('image', 'gzip')])
def test_shards_are_predicted(
    model: Path, products: list[Product], tmp_path: Path, kind: str, compression: str
) -> None:
    dumped = _predict(model, _write(tmp_path / 'test.bson', products), tmp_path / 'bson.csv')
    arguments = [f'--input={tmp_path}/test.bson', f'--output={tmp_path}/shards', '--unlabelled']
    arguments += [f'--record={kind}', f'--compression={compression}', '--shards=3']
    command = [sys.executable, '-m', 'beam_pipelines.shard', *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    rows = _predict(model, tmp_path / 'shards', tmp_path / 'shards.csv')
    assert sorted(rows, key=str) == sorted(dumped, key=str)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'manifest.json').write_text('{}')
    with pytest.raises(UserError, match='must be a data set with predict- shards, got none; name'):
        _predict(model, tmp_path / 'other', tmp_path / 'other.csv')


def test_a_damaged_shard_is_an_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / 'predict-00000-of-00001.tfrecord').write_bytes(b'no record')
    with pytest.raises(UserError, match='must be an intact shard of products'):
        _predict(model, tmp_path / 'predict-00000-of-00001.tfrecord', tmp_path / 'out.csv')


def test_prediction_of_photos_resumes_at_a_product(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    photos = _write_photos(tmp_path / 'photos', products, ['.'] * len(products))
    tree = loading.load([str(model)]).folder.tree
    stream = inputs.open_stream(str(photos), tree, SourceOptions())
    every = list(stream.read(DumpPosition()))
    assert len(every) == len(products)
    for before in (1, 17, 30):
        assert list(stream.read(every[before - 1].end)) == [
            dataclasses.replace(product, read_bytes=found.read_bytes)
            for product, found in zip(
                every[before:], stream.read(every[before - 1].end), strict=True
            )
        ]


def test_ids_of_any_type_are_in_the_rows(
    model: Path, products: list[Product], tmp_path: Path
) -> None:
    dumped = _predict(model, _write(tmp_path / 'test.bson', products), tmp_path / 'bson.csv')
    documents = [
        {'sku': f'SKU-{n}, "new"', 'imgs': [{'picture': picture} for picture in pictures]}
        for n, (_, pictures) in enumerate(products)
    ]
    (tmp_path / 'shop.bson').write_bytes(b''.join(map(bson.encode, documents)))
    output = tmp_path / 'shop.csv'
    done = _run_command(model=model, input=tmp_path / 'shop.bson', output=output, fields='_id=sku')
    assert done.returncode == 0, done.stderr
    wanted = [(f'SKU-{n}, "new"', row['category_id']) for n, row in enumerate(dumped)]
    assert [(row['_id'], row['category_id']) for row in _read(output)] == wanted
    photos = _write_photos(tmp_path / 'photos', products, ['new'] * len(products))
    (photos / 'new').rename(photos / 'a,b')
    rows = _predict(model, photos / 'a,b', tmp_path / 'photos.csv')
    assert {row['_id'] for row in rows} == {str(product_id) for product_id, _ in products}
