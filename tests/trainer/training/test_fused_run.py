"""Runs that fuse the views of a product: what they learn, what is fed to them, their figures."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from catalog.errors import UserError
from tests.trainer import fused
from trainer.config import FusionConfig, InputConfig, ModelConfig, TrainConfig
from trainer.data.data_set import open_data_set
from trainer.evaluate import evaluation
from trainer.evaluate.result import EvaluationResult
from trainer.monitoring import metric_writers
from trainer.tau_norm import tau
from trainer.training.model_inputs import model_inputs

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
    """Not in the workdir, whose exports would be calibrated."""
    output = tmp_path_factory.mktemp('fused') / 'report'
    _evaluate(half_evidence_folder, fused_workdir, output)
    return output


@pytest.mark.parametrize('name', ['mean', 'max', 'gated', 'mlp'])
def test_views_together_show_what_none_of_them_shows(
    half_evidence_folder: str, tmp_path: Path, name: str
) -> None:
    """A view tells three groups of three classes apart: alone, a third is as good as it gets."""
    fused.run(half_evidence_folder, tmp_path, f'model.fusion.name={name}')
    found = _evaluate(half_evidence_folder, tmp_path, tmp_path / 'report')
    assert found.products.metrics.accuracy > 0.95
    assert found.pictures.metrics.accuracy < 0.45


def test_a_product_is_what_the_model_says_of_its_first_views(
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


def test_a_picture_of_the_report_is_a_product_of_one_view(
    half_evidence_folder: str, fused_workdir: Path, report: Path
) -> None:
    document = json.loads((report / 'evaluation.json').read_text())
    right = [
        fused.probabilities(fused_workdir, [picture]).argmax() == product.category.label
        for product in fused.products(half_evidence_folder)
        if product.category
        for picture in product.pictures
    ]
    assert document['pictures']['examples'] == len(right)
    assert document['pictures']['accuracy'] == pytest.approx(np.mean(right), abs=1e-9)
    assert 'fusion of its first 2 pictures (gated)' in document['definitions']['product']


def test_validation_while_training_is_of_products_as_in_the_report(
    fused_workdir: Path, report: Path
) -> None:
    rows = metric_writers.read_metrics(str(fused_workdir))
    [row] = [row for row in rows if 'validation_loss' in row]
    document = json.loads((report / 'evaluation.json').read_text())
    for name in ('accuracy', 'macro_f1'):
        assert row[f'validation_{name}'] == pytest.approx(document[name], abs=1e-9)
    assert row['validation_loss'] == pytest.approx(document['loss'], rel=1e-3)


def test_the_epoch_counts_products(half_evidence_folder: str, fused_workdir: Path) -> None:
    records = open_data_set(half_evidence_folder).split('train').records
    assert metric_writers.read_metrics(str(fused_workdir))[-1]['epoch'] == 150 * 30 / records


def test_a_fused_run_in_two_sittings_is_the_run_in_one(
    half_evidence_folder: str, tmp_path: Path
) -> None:
    flags = ('model.fusion.name=gated', 'step.accumulate=2', 'step.ema_decay=0.9')
    often = ('total_steps=12', 'log_every_steps=3', 'checkpoint_every_steps=4', 'steps_per_call=3')
    drawn = ('model.dropout=0.3', 'model.fusion.dropout=0.2', *_AUGMENTED)
    every = (*flags, *often, *drawn, 'optimizer.schedule.name=constant')
    whole = fused.run(half_evidence_folder, tmp_path / 'whole', *every)
    fused.run(half_evidence_folder, tmp_path / 'cut', *every, 'total_steps=6')
    assert fused.run(half_evidence_folder, tmp_path / 'cut', *every) == whole
    expected, found = (
        tf.train.load_checkpoint(str(tmp_path / name / 'checkpoints' / 'ckpt-00000012'))
        for name in ('whole', 'cut')
    )
    for name, dtype in expected.get_variable_to_dtype_map().items():
        if dtype not in (tf.string, tf.variant):
            np.testing.assert_array_equal(found.get_tensor(name), expected.get_tensor(name))


def test_all_places_under_xla_give_the_curve_of_the_real_views_alone(
    half_evidence_folder: str, tmp_path: Path
) -> None:
    """Normalisation is frozen: it alone sees more pictures where all places are computed."""
    frozen = 'optimizer.groups=[{"pattern": "^batch_normalization", "rate": 0}]'
    fusion = ('model.fusion.name=gated', 'model.fusion.max_views=4')
    flags = (*fusion, 'total_steps=30', 'augment.flip=false', frozen)
    real = fused.run(half_evidence_folder, tmp_path / 'real', *flags)
    places = fused.run(half_evidence_folder, tmp_path / 'places', *flags, 'step.xla=true')
    assert places[-1]['loss'] == pytest.approx(real[-1]['loss'], rel=1e-3)


def _config() -> TrainConfig:
    return TrainConfig(
        batch_size=2,
        total_steps=1,
        input=InputConfig(height=8, width=8),
        model=ModelConfig(fusion=FusionConfig(name='mean', max_views=3)),
    )


def test_the_model_is_given_the_real_views_each_flipped_by_its_own_draw() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3)).astype(np.uint8)
    mask = np.array([[True, True, False], [True, False, False]])
    draws = tf.constant([[[0.1], [0.9], [0.1]], [[0.2], [0.9], [0.9]]])
    batch = {'image': tf.constant(images), 'mask': tf.constant(mask), 'label': tf.constant([4, 7])}
    inputs = model_inputs(_config())
    augmented = inputs.augmented(batch, draws)
    views, labels = inputs.mixed(augmented, draws)
    found, kept = inputs.network_inputs(views, augmented)
    expected = np.stack([images[0, 0, :, ::-1], images[0, 1], images[1, 0, :, ::-1]])
    np.testing.assert_allclose(found, expected / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(kept, mask)
    assert labels.own.numpy().tolist() == [4, 7]


def test_each_view_of_each_product_has_a_draw_of_its_own() -> None:
    draws = model_inputs(_config()).draw(50, seed=tf.constant([1, 2]))
    assert draws.shape[:2] == (50, 3)
    assert len(np.unique(draws)) == 150


def test_tau_cannot_be_fitted_on_the_pictures_of_a_model_that_fuses_them(
    half_evidence_folder: str, fused_workdir: Path
) -> None:
    with pytest.raises(UserError, match='got a model that fuses views'):
        tau.evaluate_taus(
            workdir=str(fused_workdir), data_folder=half_evidence_folder, split='validation'
        )
