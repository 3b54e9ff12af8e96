"""Evaluation of a trained model: the figures against scikit-learn's, the files whole or absent."""

import hashlib
import html.parser
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image
from sklearn import metrics as oracle

from catalog import categories, manifest, record, storage, tfrecord
from catalog.errors import UserError
from trainer import checkpoint, data_set, evaluation, evaluation_report, train
from trainer.config import InputConfig, ModelConfig, OptimizerConfig, TrainConfig

FILES = ['evaluation.html', 'evaluation.json', 'predictions.parquet']


@pytest.fixture(scope='module')
def workdir(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that has learned a little, so that it is sometimes wrong."""
    folder = str(tmp_path_factory.mktemp('run') / 'workdir')
    config = TrainConfig(
        batch_size=8,
        total_steps=12,
        model=ModelConfig(channels=4),
        input=InputConfig(height=28, width=28),
        optimizer=OptimizerConfig(learning_rate=0.01),
    )
    train.train(config, data_set.open_data_set(data_folder), folder)
    return folder


@pytest.fixture(scope='module')
def output(data_folder: str, workdir: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation by the door itself."""
    folder = tmp_path_factory.mktemp('output') / 'report'
    run = _door(workdir=workdir, data=data_folder, output=folder)
    assert run.returncode == 0, run.stderr
    (folder / 'stdout.txt').write_text(run.stdout)
    return folder


def _door(**flags: object) -> subprocess.CompletedProcess[str]:
    arguments = [f'--{name}={value}' for name, value in flags.items()]
    return subprocess.run(
        [sys.executable, '-m', 'trainer.evaluate', *arguments], capture_output=True, text=True
    )


def _expected(data_folder: str, workdir: str) -> list[tuple[record.Record, np.ndarray]]:
    """Labels, leaks and probabilities of each product and picture, straight from the records."""
    model, _, _ = checkpoint.restore_model(workdir)
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


def _assert_figures(found: dict[str, Any], labels: Any, probabilities: Any) -> None:
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


def test_the_figures_are_those_of_scikit_learn(
    data_folder: str, workdir: str, output: Path
) -> None:
    document = json.loads((output / 'evaluation.json').read_text())
    rows = _expected(data_folder, workdir)
    label = [product.category.label for product, _ in rows]
    fused = [probabilities.mean(axis=0) for _, probabilities in rows]
    unseen = [i for i, (product, _) in enumerate(rows) if not any(product.leaked)]
    each = [(product, p) for product, views in rows for p in views]

    assert 0.3 < document['accuracy'] < 1  # or the comparison below would show little
    assert document['top5_accuracy'] == 1  # of four classes
    _assert_figures(document, label, fused)
    _assert_figures(
        document['without_leaked'], [label[i] for i in unseen], [fused[i] for i in unseen]
    )
    _assert_figures(
        document['pictures'], [product.category.label for product, _ in each], [p for _, p in each]
    )
    not_leaked = [(product, p) for product, p in each if not product.leaked[0]]
    _assert_figures(
        document['pictures']['without_leaked'],
        [product.category.label for product, _ in not_leaked],
        [p for _, p in not_leaked],
    )


def test_anyone_can_compute_the_accuracy_again_from_the_table(
    data_folder: str, workdir: str, output: Path
) -> None:
    rows = pq.read_table(output / 'predictions.parquet').to_pylist()
    expected = {
        product.product_id: p.mean(axis=0) for product, p in _expected(data_folder, workdir)
    }

    assert sorted(row['product_id'] for row in rows) == sorted(expected)
    for row in rows:
        assert row['confidence'] == pytest.approx(
            np.sort(expected[row['product_id']])[::-1].tolist(), abs=1e-5
        )
    hits = [row['predicted'][0] == row['label'] for row in rows]
    document = json.loads((output / 'evaluation.json').read_text())
    assert document['accuracy'] == pytest.approx(np.mean(hits), abs=1e-12)
    assert document['data_manifest_sha256'] == manifest.digest(data_folder)


def test_the_printed_table_has_the_figures(output: Path) -> None:
    document = json.loads((output / 'evaluation.json').read_text())
    lines = (output / 'stdout.txt').read_text().splitlines()
    (accuracy,) = [line for line in lines if line.startswith('accuracy ')]
    assert f'{100 * document["accuracy"]:.1f} %' in accuracy
    assert not any('\x1b' in line for line in lines)


class _Page(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text = [], ''
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: bytes) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_names_every_class(output: Path) -> None:
    page = _Page((output / 'evaluation.html').read_text())
    assert not [tag for tag, _ in page.tags if tag in ('script', 'link', 'iframe')]
    pictures = [attributes['src'] for tag, attributes in page.tags if tag == 'img']
    assert pictures
    assert all(source.startswith('data:image/png;base64,') for source in pictures)
    for label in range(4):
        assert f'LEAF {label}' in page.text


def _hostile_evaluation(
    num_classes: int,
) -> tuple[evaluation_report.Evaluation, categories.Categories]:
    """An evaluation of many classes with names as bad as they come."""
    rows = [f'{i},<script>alert({i})</script>,"A ""B"", C",L{i} &amp;' for i in range(num_classes)]
    text = '\n'.join([','.join(categories.HEADER), *rows])
    tree = categories.parse(text.encode(), path='names.csv')
    tally = evaluation.metrics.Tally(num_classes)
    random = np.random.default_rng(0)
    labels = random.integers(0, num_classes, 3000)
    guesses = np.where(random.random(3000) < 0.7, labels, (labels + 1) % num_classes)
    tally.update(
        labels=labels,
        predicted=np.repeat(guesses[:, None], 5, axis=1),
        label_log_probability=np.zeros(3000),
    )
    figures = evaluation.metrics.figures(tally)
    return evaluation_report.Evaluation(
        'test',
        "the mean of its pictures'",
        'f' * 64,
        figures,
        figures,
        figures,
        figures,
        tally.confusion(),
    ), tree


def test_names_are_shown_as_they_are_and_never_run() -> None:
    page = _Page(evaluation_report.page(*_hostile_evaluation(300)).decode())
    assert 'script' not in [tag for tag, _ in page.tags]
    assert '<script>alert(7)</script>' in page.text
    assert 'L7 &amp;' in page.text


def test_many_classes_have_a_table_of_confusions_and_no_matrix() -> None:
    page = _Page(evaluation_report.page(*_hostile_evaluation(300)).decode())
    assert 'img' not in [tag for tag, _ in page.tags]
    assert 'Most confused' in page.text
    assert 'Weakest classes' in page.text


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


def test_a_folder_of_other_things_is_left_alone(
    data_folder: str, workdir: str, tmp_path: Path
) -> None:
    (tmp_path / 'thesis.txt').write_text('years of work')
    run = _door(workdir=workdir, data=data_folder, output=tmp_path)
    assert run.returncode == 2
    assert 'thesis.txt; choose another folder' in run.stderr
    assert os.listdir(tmp_path) == ['thesis.txt']


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _damage_last_record(folder: Path) -> None:
    """A shard whose digest the manifest confirms, but whose last picture is none."""
    path = folder / 'validation-00002-of-00003.tfrecord'
    with path.open('rb') as file:
        products = [record.decode(data) for data in tfrecord.read(file)]
    last = products[-1]
    products[-1] = record.Record(
        last.product_id, [b'\xff\xd8no'] * len(last.pictures), last.indices, last.category, [0]
    )
    data = b''.join(tfrecord.frame(record.encode(product)) for product in products)
    before = path.read_bytes()
    path.write_bytes(data)
    text = (folder / 'manifest.json').read_text()
    text = text.replace(_sha256(before), _sha256(data))
    text = text.replace(f'"bytes": {len(before)}', f'"bytes": {len(data)}')
    (folder / 'manifest.json').write_text(text)


def test_a_failure_on_the_last_picture_leaves_the_earlier_evaluation(
    data_folder: str, workdir: str, output: Path, tmp_path: Path
) -> None:
    data = tmp_path / 'data'
    shutil.copytree(data_folder, data)
    _damage_last_record(data)
    report = tmp_path / 'report'
    shutil.copytree(output, report, ignore=shutil.ignore_patterns('stdout.txt'))
    before = {name: (report / name).read_bytes() for name in FILES}

    with pytest.raises(tf.errors.InvalidArgumentError):
        evaluation.evaluate(
            workdir=workdir, data_folder=str(data), split='validation', output=str(report)
        )

    assert {name: (report / name).read_bytes() for name in FILES} == before
    assert sorted(os.listdir(tmp_path)) == ['data', 'report']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'split': 'predict'}, "evaluation needs labels, split 'predict' has none"),
        ({'split': 'tset'}, "split must be one of .*'validation'.*, got 'tset'"),
        ({'top_k': 3}, '--top_k must be at least 5, got 3'),
        ({'workdir': '/nowhere'}, '/nowhere: a workdir must have a config.json'),
        ({'output': 'gs://bucket/report'}, 'gs://bucket/report: must be a local folder'),
    ],
)
def test_a_mistake_is_named(
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


def test_another_category_tree_is_refused(
    make_data_set: Callable[..., str], workdir: str, tmp_path: Path
) -> None:
    other = make_data_set(tmp_path / 'other', counts=(4, 4, 4), validation_counts=(2, 2, 2))
    with pytest.raises(UserError, match=r'category_names\.csv must be the one that .* learned'):
        evaluation.evaluate(
            workdir=workdir, data_folder=other, split='validation', output=str(tmp_path / 'r')
        )


def test_records_of_one_picture_give_the_same_products(
    make_data_set: Callable[..., str], workdir: str, output: Path, tmp_path: Path
) -> None:
    """One shard, so that a product's records lie together."""
    data = make_data_set(tmp_path / 'data', kind='image', shards=1)
    evaluation.evaluate(
        workdir=workdir, data_folder=data, split='validation', output=str(tmp_path / 'report')
    )
    found = json.loads(storage.read_bytes(str(tmp_path / 'report' / 'evaluation.json')))
    expected = json.loads((output / 'evaluation.json').read_text())
    assert found['examples'] == expected['examples']
    assert found['accuracy'] == expected['accuracy']
    assert found['loss'] == pytest.approx(expected['loss'], rel=1e-5)


def test_a_product_torn_over_shards_is_refused(
    make_data_set: Callable[..., str], workdir: str, tmp_path: Path
) -> None:
    data = make_data_set(tmp_path / 'data', kind='image', shards=3)
    with pytest.raises(UserError, match="pictures of a product must lie together in 'validation'"):
        evaluation.evaluate(
            workdir=workdir, data_folder=data, split='validation', output=str(tmp_path / 'report')
        )
    assert not (tmp_path / 'report').exists()
