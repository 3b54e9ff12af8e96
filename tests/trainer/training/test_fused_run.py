"""Runs that fuse the views of a product: what they learn, and their metrics."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tests.trainer import fused
from trainer.data.data_set import open_data_set
from trainer.evaluate import evaluation
from trainer.evaluate.result import EvaluationResult
from trainer.workdir import metrics_file

_AUGMENTED = (
    'augment.flip=true',
    'augment.crop=resized',
    'augment.rand_augment_ops=1',
    'augment.hue=0.1',
    'augment.erase=0.5',
)


def _evaluate(folder: str, workdir: Path, output: Path) -> EvaluationResult:
    return evaluation.evaluate(
        workdir=str(workdir),
        data_folder=folder,
        split='validation',
        output=str(output),
        options=evaluation.EvaluateOptions(top_k=9),
    )


@pytest.fixture(scope='module')
def report(
    half_evidence_folder: str, fused_workdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A report outside the workdir, whose exports it would calibrate."""
    output = tmp_path_factory.mktemp('fused') / 'report'
    _evaluate(half_evidence_folder, fused_workdir, output)
    return output


@pytest.mark.parametrize('name', ['mean', 'max', 'gated', 'mlp'])
def test_fused_views_are_accurate_where_single_views_cannot_be(
    half_evidence_folder: str, tmp_path: Path, name: str
) -> None:
    """A view distinguishes three groups of three classes: the best accuracy of a view is 1/3."""
    fused.run(half_evidence_folder, tmp_path, f'model.fusion.name={name}')
    actual = _evaluate(half_evidence_folder, tmp_path, tmp_path / 'report')
    assert actual.products.metrics.accuracy > 0.95
    assert actual.pictures.metrics.accuracy < 0.45


def test_a_product_has_the_prediction_for_its_first_views(
    half_evidence_folder: str, fused_workdir: Path, report: Path
) -> None:
    table = pq.read_table(report / 'predictions.parquet').to_pylist()
    rows = {row['product_id']: row for row in table}
    products = fused.products(half_evidence_folder)
    assert sorted(rows) == sorted(product.product_id for product in products)
    assert {len(product.pictures) for product in products} == {2, 3}
    for product in products[:8]:
        expected = fused.probabilities(fused_workdir, product.pictures[:2])
        row = rows[product.product_id]
        assert row['predicted'][0] == expected.argmax()
        assert row['probability'] == pytest.approx(np.sort(expected)[::-1].tolist(), abs=1e-5)
        assert row['pictures'] == 2


def test_a_picture_in_the_report_is_a_product_with_one_view(
    half_evidence_folder: str, fused_workdir: Path, report: Path
) -> None:
    document = json.loads((report / 'evaluation.json').read_text())
    correct = [
        fused.probabilities(fused_workdir, [picture]).argmax() == product.category.label
        for product in fused.products(half_evidence_folder)
        if product.category
        for picture in product.pictures
    ]
    assert document['pictures']['examples'] == len(correct)
    assert document['pictures']['accuracy'] == pytest.approx(np.mean(correct), abs=1e-9)
    assert 'fusion of its first 2 pictures (gated)' in document['definitions']['product']


def test_validation_while_training_measures_products_like_the_report(
    fused_workdir: Path, report: Path
) -> None:
    rows = metrics_file.read_metrics(str(fused_workdir))
    [row] = [row for row in rows if 'validation_loss' in row]
    document = json.loads((report / 'evaluation.json').read_text())
    for name in ('accuracy', 'macro_f1'):
        assert row[f'validation_{name}'] == pytest.approx(document[name], abs=1e-9)
    assert row['validation_loss'] == pytest.approx(document['loss'], rel=1e-3)


def test_the_epoch_counts_products(half_evidence_folder: str, fused_workdir: Path) -> None:
    records = open_data_set(half_evidence_folder).split('train').records
    assert metrics_file.read_metrics(str(fused_workdir))[-1]['epoch'] == 150 * 30 / records


def test_a_fused_run_resumes_exactly(half_evidence_folder: str, tmp_path: Path) -> None:
    flags = ('model.fusion.name=gated', 'step.accumulate=2', 'step.ema_decay=0.9')
    often = ('total_steps=12', 'log_every_steps=3', 'checkpoint_every_steps=4', 'steps_per_call=3')
    drawn = ('model.dropout=0.3', 'model.fusion.dropout=0.2', *_AUGMENTED)
    every = (*flags, *often, *drawn, 'optimizer.schedule.name=constant')
    uninterrupted = fused.run(half_evidence_folder, tmp_path / 'uninterrupted', *every)
    fused.run(half_evidence_folder, tmp_path / 'cut', *every, 'total_steps=6')
    assert fused.run(half_evidence_folder, tmp_path / 'cut', *every) == uninterrupted
    expected, actual = (
        tf.train.load_checkpoint(str(tmp_path / name / 'checkpoints' / 'ckpt-00000012'))
        for name in ('uninterrupted', 'cut')
    )
    for name, dtype in expected.get_variable_to_dtype_map().items():
        if dtype not in (tf.string, tf.variant):
            np.testing.assert_array_equal(actual.get_tensor(name), expected.get_tensor(name))


def test_padded_views_under_xla_give_the_losses_of_real_views(
    half_evidence_folder: str, tmp_path: Path
) -> None:
    """Batch norm is frozen, because its statistics include the padding."""
    frozen = 'optimizer.groups=[{"pattern": "^batch_normalization", "rate": 0}]'
    fusion = ('model.fusion.name=gated', 'model.fusion.max_views=4')
    flags = (*fusion, 'total_steps=30', 'augment.flip=false', frozen)
    real = fused.run(half_evidence_folder, tmp_path / 'real', *flags)
    padded = fused.run(half_evidence_folder, tmp_path / 'padded', *flags, 'step.xla=true')
    assert padded[-1]['loss'] == pytest.approx(real[-1]['loss'], rel=1e-3)
