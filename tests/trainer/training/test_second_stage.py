"""What follows a first training: the last layer anew, scales of classes, tau-normalisation."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer import naming
from trainer.config import ModelConfig
from trainer.config import files as config_files
from trainer.data.data_set import DataSet, open_data_set
from trainer.export import saved_model as exporting
from trainer.inference.runs import restore_member
from trainer.models import heads, weights
from trainer.tau_norm import tau
from trainer.training.loop import train

_SMALL = (
    'batch_size=16',
    'total_steps=12',
    'log_every_steps=6',
    'checkpoint_every_steps=6',
    'model.channels=4',
    'input.shuffle_records=40',
    'optimizer.schedule.name=constant',
    'optimizer.schedule.warmup_steps=0',
)
_FROZEN = 'optimizer.groups=[{"pattern": "^(?!logits/)", "rate": 0}]'
_SCALES = 'optimizer.groups=[{"pattern": "^logits/scale"}, {"pattern": "", "rate": 0}]'

Weights = dict[str, np.ndarray]


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _train(data: DataSet, workdir: Path, *flags: str) -> Weights:
    """As trainer.task does with these flags; the weights that evaluation takes."""
    train(config_files.load('configs/tiny.py', [*_SMALL, *flags]), data, str(workdir))
    return _weights(workdir)


def _weights(workdir: Path) -> Weights:
    model = restore_member(str(workdir))[0].model
    return {path: weight.numpy() for path, weight in weights.weight_paths(model)}


@pytest.fixture(scope='module')
def first(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first stage."""
    workdir = tmp_path_factory.mktemp('first')
    _train(data, workdir, 'step.ema_decay=0.5')
    return workdir


def _moved(before: Weights, after: Weights) -> set[str]:
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_only_a_new_last_layer_is_trained(data: DataSet, first: Path, tmp_path: Path) -> None:
    flags = (f'start.workdir={first}', 'start.pattern=^(?!logits/)', _FROZEN, 'seed=5')
    before, after = _weights(first), _train(data, tmp_path, *flags, 'loss.target_power=0')
    assert _moved(before, after) == {'logits/kernel', 'logits/bias'}
    # From random weights, not from those of the first stage.
    assert np.abs(after['logits/kernel'] - before['logits/kernel']).mean() > 0.1


def test_only_the_scales_of_classes_are_learned(data: DataSet, first: Path, tmp_path: Path) -> None:
    flags = (f'start.workdir={first}', 'start.pattern=^(?!logits/scale)', 'step.ema_decay=0.5')
    after = _train(data, tmp_path, *flags, _SCALES, 'model.last_layer=scaled')
    scale = after.pop('logits/scale')
    assert _moved(_weights(first), after) == set()
    assert len(set(scale.tolist())) == 4


def test_a_run_that_goes_on_asks_no_more_for_where_it_began(
    data: DataSet, first: Path, tmp_path: Path
) -> None:
    source = tmp_path / 'source'
    shutil.copytree(first, source)
    flags = (f'start.workdir={source}', _FROZEN)
    whole = _train(data, tmp_path / 'whole', *flags)
    _train(data, tmp_path / 'cut', *flags, 'total_steps=6')
    shutil.rmtree(source)
    assert _moved(whole, _train(data, tmp_path / 'cut', *flags)) == set()


def test_weights_that_the_other_run_does_not_have_are_named(
    data: DataSet, first: Path, tmp_path: Path, make_data_set: Callable[..., str]
) -> None:
    other = open_data_set(make_data_set(tmp_path / 'data', counts=(9, 9, 9, 9, 9)))
    with pytest.raises(UserError, match=r'logits/kernel of shape \(16, 5\), got .* \(16, 4\)'):
        _train(other, tmp_path / 'five', f'start.workdir={first}')
    with pytest.raises(UserError, match=r'logits/scale of shape \(4,\), got none; start.pattern'):
        _train(data, tmp_path / 'scale', f'start.workdir={first}', 'model.last_layer=scaled')
    with pytest.raises(UserError, match="must match a weight, 'lgits' matches none"):
        _train(data, tmp_path / 'none', f'start.workdir={first}', 'start.pattern=lgits')
    with pytest.raises(UserError, match=r'must have a config\.json, got none'):
        _train(data, tmp_path / 'absent', f'start.workdir={tmp_path}/nowhere')


def test_layers_without_a_name_are_numbered_in_each_model_anew() -> None:
    def paths() -> list[str]:
        image = keras.Input([8, 8, 3])
        x = keras.layers.Conv2D(2, 3)(image)
        x = keras.layers.Conv2D(2, 3)(x)
        x = keras.layers.Conv2D(2, 3, name='stage_7')(x)
        return [path for path, _ in weights.weight_paths(keras.Model(image, x))]

    names = ['conv2d', 'conv2d_1', 'stage_7']
    expected = [f'{name}/{weight}' for name in names for weight in ('kernel', 'bias')]
    assert paths() == paths() == expected


def test_cosines_are_those_of_numpy_whatever_the_lengths() -> None:
    features = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    inputs = keras.Input([8])
    config = ModelConfig(last_layer='cosine', cosine_scale=30.0)
    model = keras.Model(inputs, heads.logits(inputs, config, num_classes=3))
    kernel = model.get_weights()[0]
    lengths = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(model(features), 30 * features @ kernel / lengths, rtol=1e-5)
    np.testing.assert_allclose(model(7 * features), model(features), rtol=1e-4)


def test_features_of_no_length_have_a_slope() -> None:
    inputs = keras.Input([8])
    config = ModelConfig(last_layer='cosine')
    model = keras.Model(inputs, heads.logits(inputs, config, num_classes=3))
    features = tf.zeros([2, 8])
    with tf.GradientTape() as tape:
        tape.watch(features)
        total = tf.reduce_sum(model(features) ** 2 + model(features))
    assert all(
        np.isfinite(slope).all()
        for slope in tape.gradient(total, [features, *model.trainable_weights])
    )


def test_tau_divides_by_a_power_of_the_lengths(first: Path, tmp_path: Path) -> None:
    before = _weights(first)
    tau.write_normalized(workdir=str(first), output=str(tmp_path / 'half'), tau=0.5)
    after = _weights(tmp_path / 'half')
    kernel = before['logits/kernel']
    expected = kernel / np.linalg.norm(kernel, axis=0) ** 0.5
    np.testing.assert_allclose(after['logits/kernel'], expected, rtol=1e-5)
    assert (after['logits/bias'] == 0).all()
    assert _moved(before, after) == {'logits/kernel', 'logits/bias'}
    tau.write_normalized(workdir=str(first), output=str(tmp_path / 'one'), tau=1.0)
    lengths = np.linalg.norm(_weights(tmp_path / 'one')['logits/kernel'], axis=0)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_each_tau_is_tried_as_the_model_that_it_would_make(
    data: DataSet, data_folder: str, first: Path, tmp_path: Path
) -> None:
    from trainer.evaluate import evaluation

    tried = tau.evaluate_taus(workdir=str(first), data_folder=data_folder, split='validation')
    assert [row.tau for row in tried] == list(tau.TAUS)
    tau.write_normalized(workdir=str(first), output=str(tmp_path / 'w'), tau=0.7, evaluated=tried)
    measured = evaluation.evaluate(
        workdir=str(tmp_path / 'w'),
        data_folder=data_folder,
        split='validation',
        output=str(tmp_path / 'report'),
    )
    row = tried[7]
    assert row.accuracy == measured.pictures.metrics.accuracy
    assert row.macro_recall == pytest.approx(measured.pictures.metrics.macro_recall, abs=1e-12)
    document = json.loads((tmp_path / 'w' / naming.TAU_NORM).read_text())
    assert document['tau'] == 0.7
    assert len(document['tried']) == 11


def test_the_card_of_a_tau_normalised_model_claims_no_prior(first: Path, tmp_path: Path) -> None:
    tau.write_normalized(workdir=str(first), output=str(tmp_path / 'w'), tau=1.0)
    output = tmp_path / 'model' / '1'
    exporting.export(workdir=str(tmp_path / 'w'), output=str(output), top_k=2, threshold=0.5)
    card = json.loads((output / 'model_card.json').read_text())
    assert card['prior'] == 'unknown: the last layer is tau-normalized'


def test_what_cannot_be_tau_normalised_is_refused(
    data: DataSet, data_folder: str, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r'--tau must be in \[0, 1\], got 1.5'):
        tau.write_normalized(workdir=str(first), output=str(tmp_path / 'w'), tau=1.5)
    with pytest.raises(UserError, match='--output must be a new folder'):
        tau.write_normalized(workdir=str(first), output=str(first), tau=1.0)
    with pytest.raises(UserError, match="labels, split 'predict' has none"):
        tau.evaluate_taus(workdir=str(first), data_folder=data_folder, split='predict')
    flags = ('model.last_layer=cosine', 'loss.name=ldam', 'loss.ldam_margin=15', 'total_steps=6')
    _train(data, tmp_path / 'cosine', *flags)
    with pytest.raises(UserError, match='last_layer must be dense for tau-normalization, got cos'):
        tau.write_normalized(workdir=str(tmp_path / 'cosine'), output=str(tmp_path / 'x'), tau=1.0)
