"""Evaluation of a trained model: metrics against scikit-learn, files written atomically."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn import metrics as oracle

from catalog import categories, manifest, record, storage
from catalog.errors import UserError
from catalog.formats import tfrecord
from tests.trainer.spoiled import draw_spoiled
from trainer.config import (
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    ValidationConfig,
)
from trainer.data import data_set
from trainer.evaluate import evaluation
from trainer.inference.runs import restore_member
from trainer.training import loop
from trainer.workdir import metrics_file

FILES = ['evaluation.html', 'evaluation.json', 'predictions.parquet', 'suspects.csv']


@pytest.fixture(scope='module')
def workdir(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of a few steps, so that it is sometimes wrong."""
    folder = str(tmp_path_factory.mktemp('run') / 'workdir')
    config = TrainConfig(
        batch_size=8,
        total_steps=12,
        log_every_steps=12,
        model=ModelConfig(channels=4),
        input=InputConfig(height=28, width=28),
        optimizer=OptimizerConfig(learning_rate=0.01),
        validation=ValidationConfig(every_steps=12),
    )
    loop.train(config, data_set.open_data_set(data_folder), folder)
    return folder


@pytest.fixture(scope='module')
def output(data_folder: str, workdir: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation by the command line, with a flag that has no effect any more."""
    folder = tmp_path_factory.mktemp('output') / 'report'
    run = _run_command(workdir=workdir, data=data_folder, output=folder)
    assert run.returncode == 0, run.stderr
    (folder / 'stdout.txt').write_text(run.stdout)
    return folder


def _run_command(**flags: object) -> subprocess.CompletedProcess[str]:
    arguments = [f'--{name}={value}' for name, value in flags.items()]
    return subprocess.run(
        [sys.executable, '-m', 'trainer.evaluate', *arguments], capture_output=True, text=True
    )


def test_three_devices_predict_like_one(
    data_folder: str, workdir: str, output: Path, tmp_path: Path
) -> None:
    """A batch of eight pictures is padded to nine."""
    devices = {'strategy': 'mirrored', 'device': 'cpu', 'num_devices': 3}
    run = _run_command(workdir=workdir, data=data_folder, output=tmp_path, **devices)
    assert run.returncode == 0, run.stderr
    one, three = (
        pq.read_table(folder / 'predictions.parquet').to_pydict() for folder in (output, tmp_path)
    )
    for name in ('product_id', 'label', 'predicted'):
        assert three[name] == one[name]
    np.testing.assert_allclose(three['confidence'], one['confidence'], rtol=1e-5)


def _expected(data_folder: str, workdir: str) -> list[tuple[record.Record, np.ndarray]]:
    """Records and probabilities of each product's pictures, read without the pipeline."""
    model = restore_member(workdir)[0].model
    products = []
    for name in sorted(os.listdir(data_folder)):
        if not name.startswith('validation'):
            continue
        with open(f'{data_folder}/{name}', 'rb') as file:
            products += [record.decode(data) for data in tfrecord.read(file)]
    rows = []
    for product in products:
        pixels = np.stack([Image.open(io.BytesIO(data)) for data in product.pictures])
        logits = model(pixels.astype(np.float32) / 127.5 - 1, training=False).numpy()
        exponents = np.exp(logits.astype(np.float64))
        rows.append((product, exponents / exponents.sum(axis=1, keepdims=True)))
    return rows


def _assert_metrics(found: dict[str, Any], labels: Any, probabilities: Any) -> None:
    labels, probabilities = np.array(labels), np.array(probabilities)
    first = probabilities.argmax(axis=1)
    assert found['examples'] == len(labels)
    assert found['accuracy'] == pytest.approx(oracle.accuracy_score(labels, first), abs=1e-9)
    assert found['loss'] == pytest.approx(
        oracle.log_loss(labels, probabilities, labels=range(probabilities.shape[1])), abs=1e-5
    )
    for average in ('macro', 'weighted', 'micro'):
        expected = oracle.precision_recall_fscore_support(
            labels, first, average=average, zero_division=0
        )
        for name, value in zip(('precision', 'recall', 'f1'), expected, strict=False):
            assert found[f'{average}_{name}'] == pytest.approx(value, abs=1e-9)
    assert found['matthews'] == pytest.approx(oracle.matthews_corrcoef(labels, first), abs=1e-9)
    assert found['kappa'] == pytest.approx(oracle.cohen_kappa_score(labels, first), abs=1e-9)
    _assert_levels(found['levels'], labels, probabilities)
    before = found['calibration']['before']
    assert sum(before['count']) == len(labels)
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [
        abs((first == labels)[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)
    ]
    assert before['ece'] == pytest.approx(sum(gaps) / len(labels), abs=1e-6)


def _assert_levels(found: list[dict[str, Any]], labels: Any, probabilities: Any) -> None:
    """In `conftest.category_names`, leaf c is under ROOT c % 2, then BRANCH c // 2."""
    leaves = np.arange(probabilities.shape[1])
    for level, node_of in zip(found, [leaves % 2, leaves, leaves], strict=True):
        summed = np.stack([probabilities[:, node_of == n].sum(axis=1) for n in set(node_of)], 1)
        by_leaf = oracle.accuracy_score(node_of[labels], node_of[probabilities.argmax(axis=1)])
        assert level['nodes'] == summed.shape[1]
        assert level['accuracy_by_leaf'] == pytest.approx(by_leaf, abs=1e-9)
        by_sum = oracle.accuracy_score(node_of[labels], summed.argmax(axis=1))
        assert level['by_sum']['accuracy'] == pytest.approx(by_sum, abs=1e-9)


def test_a_run_logs_the_accuracies_by_level_that_are_evaluated_after_it(
    workdir: str, output: Path
) -> None:
    logged = metrics_file.read_metrics(workdir)[-1]
    *above, leaves = json.loads((output / 'evaluation.json').read_text())['pictures']['levels']
    assert logged['validation_accuracy'] == leaves['accuracy_by_leaf']
    for level, evaluated in enumerate(above, start=1):
        assert logged[f'validation_level{level}_accuracy'] == evaluated['accuracy_by_leaf']
    assert sum('level' in name for name in logged) == len(above) == 2


def test_the_metrics_are_those_of_scikit_learn(
    data_folder: str, workdir: str, output: Path
) -> None:
    document = json.loads((output / 'evaluation.json').read_text())
    rows = _expected(data_folder, workdir)
    label = [product.category.label for product, _ in rows]
    fused = [probabilities.mean(axis=0) for _, probabilities in rows]
    kept = [i for i, (product, _) in enumerate(rows) if not any(product.leaked)]
    each = [(product, p) for product, views in rows for p in views]

    assert 0.3 < document['accuracy'] < 1  # or the comparison below would show little
    assert document['top5_accuracy'] == 1  # of four classes
    _assert_metrics(document, label, fused)
    _assert_metrics(
        document['without_leaked'],
        [label[i] for i in kept],
        [fused[i] for i in kept],
    )
    _assert_metrics(
        document['pictures'], [product.category.label for product, _ in each], [p for _, p in each]
    )
    not_leaked = [(product, p) for product, p in each if not product.leaked[0]]
    _assert_metrics(
        document['pictures']['without_leaked'],
        [product.category.label for product, _ in not_leaked],
        [p for _, p in not_leaked],
    )


def test_the_accuracy_can_be_computed_from_the_table(
    data_folder: str, workdir: str, output: Path
) -> None:
    rows = pq.read_table(output / 'predictions.parquet').to_pylist()
    expected = {
        product.product_id: p.mean(axis=0) for product, p in _expected(data_folder, workdir)
    }

    document = json.loads((output / 'evaluation.json').read_text())
    temperature = document['temperature']['product']
    assert document['temperature']['fitted_on'] == 'validation'
    assert temperature != 1
    assert sorted(row['product_id'] for row in rows) == sorted(expected)
    for row in rows:
        probability = np.sort(expected[row['product_id']])[::-1]
        assert row['probability'] == pytest.approx(probability.tolist(), abs=1e-5)
        calibrated = probability ** (1 / temperature)
        assert row['confidence'] == pytest.approx(calibrated / calibrated.sum(), abs=1e-5)
    loss = -np.mean([row['label_log_probability'] for row in rows])
    assert document['loss'] == pytest.approx(loss, abs=1e-12)
    hits = [row['predicted'][0] == row['label'] for row in rows]
    assert document['accuracy'] == pytest.approx(np.mean(hits), abs=1e-12)
    assert document['data_manifest_sha256'] == manifest.digest(data_folder)


def test_temperature_auc_and_shots_follow_from_the_probabilities(
    data_folder: str, workdir: str, output: Path
) -> None:
    document = json.loads((output / 'evaluation.json').read_text())
    rows = _expected(data_folder, workdir)
    label = np.array([product.category.label for product, _ in rows])
    fused = np.array([probabilities.mean(axis=0) for _, probabilities in rows])

    each = [oracle.roc_auc_score(label == c, fused[:, c]) for c in range(4)]
    auc = document['roc_auc']
    assert auc['macro'] == pytest.approx(np.mean(each), abs=auc['error'] + 1e-9)
    weighted = np.average(each, weights=np.bincount(label))
    assert auc['weighted'] == pytest.approx(weighted, abs=auc['error'] + 1e-9)
    assert auc['error'] < 0.05  # of 18 products that the model hardly tells apart
    for row, expected in zip(document['classes'], each, strict=True):
        assert row['roc_auc'] == pytest.approx(expected, abs=0.1)  # the error of one class
    assert document['levels'][-1]['roc_auc'] == auc
    roots = oracle.roc_auc_score(label % 2 == 0, fused[:, 0::2].sum(axis=1))
    first = document['levels'][0]['roc_auc']
    assert first['macro'] == pytest.approx(roots, abs=first['error'] + 1e-6)
    for curve in document['roc_curves']:
        area = np.trapezoid(curve['true_positive_rate'], curve['false_positive_rate'])
        level = document['levels'][curve['level'] - 1]['roc_auc']
        assert area == pytest.approx(level['macro'], abs=0.02)

    def loss(temperature: float) -> float:
        powers = fused ** (1 / temperature)
        return oracle.log_loss(label, powers / powers.sum(axis=1, keepdims=True), labels=range(4))

    found = document['temperature']['product']
    assert loss(found) <= min(loss(found * 1.02), loss(found / 1.02), loss(1))

    hit = fused.argmax(axis=1) == label
    parts = [[0, 1], [2], [3]]  # 46, 29, 16 and 7 products in all
    for shot, part in zip(document['thirds'], parts, strict=True):
        own = np.isin(label, part)
        assert shot['examples'] == own.sum()
        assert shot['accuracy'] == pytest.approx(hit[own].mean(), abs=1e-12)
    low, high = document['intervals']['accuracy']
    assert low < document['accuracy'] < high


def test_label_errors_are_listed_with_category_ids(data_folder: str, output: Path) -> None:
    tree = categories.load(f'{data_folder}/category_names.csv')
    table = {row['product_id']: row for row in pq.read_table(output / FILES[2]).to_pylist()}
    with (output / 'suspects.csv').open() as file:
        rows = list(csv.DictReader(file))
    document = json.loads((output / 'evaluation.json').read_text())
    assert len(rows) == document['suspects']['count']
    for row in rows:
        product = table[int(row['product_id'])]
        assert int(row['category_id']) == tree.ids[product['label']]
        assert int(row['suggested_category_id']) == tree.ids[product['predicted'][0]]
        assert row['category_id'] != row['suggested_category_id']
        own = float(np.exp(product['label_log_probability']))
        assert float(row['probability']) == pytest.approx(own, abs=1e-6)


def test_temperatures_are_fitted_on_validation_for_every_split(
    data_folder: str, workdir: str, output: Path, tmp_path: Path
) -> None:
    measured = evaluation.evaluate(
        workdir=workdir, data_folder=data_folder, split='train', output=str(tmp_path / 'report')
    )
    document = json.loads((output / 'evaluation.json').read_text())
    assert measured.temperatures.temperatures.product == document['temperature']['product']
    assert measured.products.metrics.examples == 80


def test_the_printed_table_has_the_metrics(output: Path) -> None:
    document = json.loads((output / 'evaluation.json').read_text())
    stdout = (output / 'stdout.txt').read_text()
    assert 'ECE, calibrated' in stdout
    assert re.search(r'^many-shot +2 of 2 ', stdout, re.MULTILINE)
    assert 'auto-classified at 95 % accuracy' in stdout
    learned = document['suspects']['has_learned']
    assert ('suspected label error' if learned else 'No label is suspected: ') in stdout
    assert learned is (document['intervals']['kappa'][0] >= 0.4)
    lines = stdout.splitlines()
    (accuracy,) = [line for line in lines if line.startswith('accuracy ')]
    assert f'{100 * document["accuracy"]:.1f} %' in accuracy
    assert not any('\x1b' in line for line in lines)


def test_an_earlier_evaluation_is_replaced(data_folder: str, workdir: str, tmp_path: Path) -> None:
    output = tmp_path / 'report'
    output.mkdir()
    (output / 'evaluation.json').write_text('stale')
    evaluation.evaluate(
        workdir=workdir, data_folder=data_folder, split='validation', output=str(output)
    )
    assert sorted(os.listdir(output)) == FILES
    assert json.loads((output / 'evaluation.json').read_text())['unit'] == 'product'
    assert os.listdir(tmp_path) == ['report']


def test_a_folder_with_other_files_is_refused(
    data_folder: str, workdir: str, tmp_path: Path
) -> None:
    (tmp_path / 'thesis.txt').write_text('years of work')
    run = _run_command(workdir=workdir, data=data_folder, output=tmp_path)
    assert run.returncode == 2
    assert 'thesis.txt; choose another folder' in run.stderr
    assert os.listdir(tmp_path) == ['thesis.txt']


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _claim_another_product(folder: Path) -> None:
    """Makes the manifest wrong, which only counting the products can show."""
    document = json.loads((folder / 'manifest.json').read_text())
    document['splits']['validation']['products_per_class'][0] += 1
    (folder / 'manifest.json').write_text(json.dumps(document))


def test_a_failure_keeps_the_earlier_evaluation(
    data_folder: str, workdir: str, output: Path, tmp_path: Path
) -> None:
    data = tmp_path / 'data'
    shutil.copytree(data_folder, data)
    _claim_another_product(data)
    report = tmp_path / 'report'
    shutil.copytree(output, report, ignore=shutil.ignore_patterns('stdout.txt'))
    before = {name: (report / name).read_bytes() for name in FILES}

    with pytest.raises(UserError, match='which has 19 decodable products by its manifest, got 18'):
        evaluation.evaluate(
            workdir=workdir, data_folder=str(data), split='validation', output=str(report)
        )

    assert {name: (report / name).read_bytes() for name in FILES} == before
    assert sorted(os.listdir(tmp_path)) == ['data', 'report']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'split': 'predict'}, "evaluation needs labels, split 'predict' has none"),
        ({'split': 'tset'}, r"split must be one of [a-z, ]*validation[a-z, ]*, got 'tset'"),
        ({'workdir': '/nowhere'}, '/nowhere: a workdir must have a config.json'),
    ],
)
def test_a_wrong_argument_is_named(
    data_folder: str, workdir: str, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arguments = {
        'workdir': workdir,
        'data_folder': data_folder,
        'split': 'validation',
        'output': str(tmp_path / 'report'),
    }
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(**{**arguments, **change})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'top_k': 3}, '--top_k must be at least 5, got 3'),
        ({'target': 95.0}, r'--target_accuracy must be in \(0, 1\], got 95'),
    ],
)
def test_an_invalid_option_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluation.EvaluateOptions(**change)


def test_a_different_category_tree_is_refused(
    make_data_set: Callable[..., str], workdir: str, tmp_path: Path
) -> None:
    other = make_data_set(tmp_path / 'other', counts=(4, 4, 4), validation_counts=(2, 2, 2))
    with pytest.raises(UserError, match=r'category_names\.csv must be that of .*workdir'):
        evaluation.evaluate(
            workdir=workdir, data_folder=other, split='validation', output=str(tmp_path / 'r')
        )


def test_records_of_one_picture_give_the_same_products(
    make_data_set: Callable[..., str], workdir: str, output: Path, tmp_path: Path
) -> None:
    """One shard, so that a product's records are adjacent."""
    data = make_data_set(tmp_path / 'data', kind='image', shards=1)
    evaluation.evaluate(
        workdir=workdir, data_folder=data, split='validation', output=str(tmp_path / 'report')
    )
    found = json.loads(storage.read_bytes(str(tmp_path / 'report' / 'evaluation.json')))
    expected = json.loads((output / 'evaluation.json').read_text())
    assert found['examples'] == expected['examples']
    assert found['accuracy'] == expected['accuracy']
    assert found['loss'] == pytest.approx(expected['loss'], rel=1e-5)


def test_a_product_spread_over_shards_is_refused(
    make_data_set: Callable[..., str], workdir: str, tmp_path: Path
) -> None:
    data = make_data_set(tmp_path / 'data', kind='image', shards=3)
    with pytest.raises(UserError, match="pictures of a product must be adjacent in 'validation'"):
        evaluation.evaluate(
            workdir=workdir, data_folder=data, split='validation', output=str(tmp_path / 'report')
        )
    assert not (tmp_path / 'report').exists()


def test_products_are_evaluated_on_their_decodable_pictures(
    make_data_set: Callable[..., str], data_folder: str, workdir: str, output: Path, tmp_path: Path
) -> None:
    # The first products of validation have the pictures 161, 162 and 163, 164 to 166.
    data = Path(make_data_set(tmp_path / 'data', draw=draw_spoiled({161, 163})))
    done = _run_command(workdir=workdir, data=data, output=tmp_path / 'report')
    assert done.returncode == 0, done.stderr

    lines = [line for line in done.stderr.splitlines() if line.startswith('warning')]
    assert lines == [
        f'warning: {data}/validation-0000{shard}-of-00003.tfrecord: product {product}, picture '
        f'{picture} is undecodable and is passed over'
        for shard, product, picture in [(0, 81, 0), (1, 82, 1)]
    ]
    assert 'Products without another picture, not evaluated: 1 (81).' in done.stdout
    document = json.loads((tmp_path / 'report' / 'evaluation.json').read_text())
    assert document['undecodable'] == {'pictures': 2, 'products_not_evaluated': [81]}
    assert (document['examples'], document['pictures']['examples']) == (17, 34)

    rows = pq.read_table(tmp_path / 'report' / 'predictions.parquet').to_pylist()
    intact = pq.read_table(output / 'predictions.parquet').to_pylist()
    found = {row['product_id']: row['predicted'] for row in rows}
    expected = {row['product_id']: row['predicted'] for row in intact}
    assert found.keys() == expected.keys() - {81}
    assert all(found[product] == expected[product] for product in found.keys() - {82})


def test_a_split_without_a_decodable_picture_is_refused(
    make_data_set: Callable[..., str], workdir: str, tmp_path: Path
) -> None:
    data = make_data_set(tmp_path / 'data', draw=draw_spoiled(range(161, 400)))
    with pytest.raises(UserError, match="'validation' must have a decodable picture, got none"):
        evaluation.evaluate(
            workdir=workdir, data_folder=data, split='validation', output=str(tmp_path / 'out')
        )
