"""Exports that predict with another class prior than that of their training."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from tests.trainer.export.reference import SIZE, encode_picture
from trainer.config import InputConfig, LossConfig, ModelConfig, OptimizerConfig, TrainConfig
from trainer.data import data_set
from trainer.export import saved_model
from trainer.export.target_prior import read_shift
from trainer.inference.runs import Run, open_run
from trainer.tau_norm import tau
from trainer.training.loop import train
from trainer.workdir import run_files

PRODUCTS = np.array([46, 29, 16, 7])  # in the source, by class
PICTURES = 161  # in the train shards
CATEGORY_IDS = (1000, 1007, 1014, 1021)
SHOP = np.array([1, 2, 3, 4])
SHOP_FILE = 'category_id,share\n1021,4\n1000,1\n1014,3\n1007,2\n'
TEMPERATURES = {'picture': 2.0, 'product': 0.5, 'fitted_on': 'validation', 'fitted_products': 9}
ENCODED = [encode_picture(seed) for seed in range(5)]
PRODUCT = np.array([0, 1, 0, 1, 1])


def _normalized(shares: np.ndarray) -> np.ndarray:
    return shares / shares.sum(axis=-1, keepdims=True)


# One pseudo example per class is added, so that no share is 0.
NATURAL = _normalized(PRODUCTS / PRODUCTS.sum() * PICTURES + 1)


def _train(data_folder: str, folder: Path, *, target_power: float) -> str:
    config = TrainConfig(
        batch_size=8,
        total_steps=12,
        model=ModelConfig(channels=4),
        input=InputConfig(height=SIZE, width=SIZE),
        optimizer=OptimizerConfig(learning_rate=0.01),
        loss=LossConfig(target_power=target_power),
    )
    train(config, data_set.open_data_set(data_folder), str(folder))
    return str(folder)


@pytest.fixture(scope='module')
def between(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that is trained for a prior between the natural and the uniform one."""
    return _train(data_folder, tmp_path_factory.mktemp('run') / 'workdir', target_power=0.5)


@pytest.fixture(scope='module')
def shop_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('priors') / 'shop.csv'
    path.write_text(SHOP_FILE)
    return str(path)


@pytest.fixture(scope='module')
def export_with(
    between: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str | None, bool], Path]:
    """Exports the run for a prior, calibrated or not; each combination once."""
    calibrated = tmp_path_factory.mktemp('calibrated') / 'workdir'
    shutil.copytree(between, calibrated)
    (calibrated / 'report').mkdir()
    report = {'step': 12, 'temperature': TEMPERATURES}
    (calibrated / 'report' / 'evaluation.json').write_text(json.dumps(report))
    exported: dict[tuple[str | None, bool], Path] = {}

    def export(target_prior: str | None, is_calibrated: bool) -> Path:
        key = (target_prior, is_calibrated)
        if key not in exported:
            output = tmp_path_factory.mktemp('models') / 'clothes' / '1'
            saved_model.export(
                workdir=str(calibrated) if is_calibrated else between,
                output=str(output),
                top_k=4,
                threshold=0.5,
                target_prior=target_prior,
            )
            exported[key] = output
        return exported[key]

    return export


def _by_label(outputs: dict[str, tf.Tensor]) -> np.ndarray:
    """Returns the confidences in order of the labels: float64 [N, C]."""
    order = np.argsort(outputs['label'].numpy(), axis=1)
    return np.take_along_axis(outputs['confidence'].numpy().astype(np.float64), order, axis=1)


def _probabilities(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probabilities of the pictures and of the products."""
    signatures: Any = tf.saved_model.load(str(folder)).signatures
    pictures = signatures['serving_default'](image_bytes=tf.constant(ENCODED))
    products = signatures['product'](image_bytes=tf.constant(ENCODED), product=tf.constant(PRODUCT))
    return _by_label(pictures), _by_label(products)


@pytest.mark.parametrize(
    ('target', 'is_calibrated'), [('natural', False), ('uniform', True), ('file', False)]
)
def test_probabilities_are_multiplied_by_the_ratio_of_the_priors(
    export_with: Callable[[str | None, bool], Path],
    shop_file: str,
    target: str,
    is_calibrated: bool,
) -> None:
    prior = {'natural': NATURAL, 'uniform': np.ones(4), 'file': SHOP}[target]
    ratio = _normalized(prior) / _normalized(NATURAL**0.5)
    shifted = export_with(shop_file if target == 'file' else target, is_calibrated)
    unshifted = export_with(None, is_calibrated)
    for actual, before in zip(_probabilities(shifted), _probabilities(unshifted), strict=True):
        np.testing.assert_allclose(actual, _normalized(before * ratio), atol=1e-6)
        assert np.abs(actual - before).max() > 1e-3


def test_the_temperature_is_applied_before_the_prior(
    export_with: Callable[[str | None, bool], Path],
) -> None:
    plain, calibrated = (
        _probabilities(export_with('uniform', is_calibrated)) for is_calibrated in (False, True)
    )
    ratio = _normalized(np.ones(4)) / _normalized(NATURAL**0.5)
    for before, actual, unit in zip(plain, calibrated, ('picture', 'product'), strict=True):
        unshifted = _normalized(before / ratio)
        expected = _normalized(unshifted ** (1 / float(str(TEMPERATURES[unit]))) * ratio)
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_the_natural_prior_changes_nothing_for_a_model_trained_for_it(
    exported: Path, workdir: str, tmp_path: Path
) -> None:
    saved_model.export(
        workdir=workdir,
        output=str(tmp_path / 'm' / '1'),
        top_k=4,
        threshold=0.5,
        target_prior='natural',
    )
    for actual, expected in zip(
        _probabilities(tmp_path / 'm' / '1'), _probabilities(exported), strict=True
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_model_card_names_the_prior(
    export_with: Callable[[str | None, bool], Path], shop_file: str
) -> None:
    def prior(target: str | None) -> str:
        card = json.loads((export_with(target, False) / 'model_card.json').read_text())
        return str(card['prior'])

    assert prior(None) == 'natural ** 0.5, normalized'
    assert prior('natural') == 'natural, shifted at export'
    assert prior('uniform') == 'uniform, shifted at export'
    assert prior(shop_file) == 'shop.csv, shifted at export'


def _export_command(workdir: str, output: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            '-m',
            'trainer.export',
            f'--workdir={workdir}',
            f'--output={output}',
            *flags,
        ],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_command_line_takes_a_prior_and_reports_an_invalid_one_in_one_line(
    between: str, shop_file: str, tmp_path: Path
) -> None:
    output = tmp_path / 'clothes' / '1'
    done = _export_command(between, output, f'--target_prior={tmp_path}/absent.csv')
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    message = 'error: --target_prior must be natural, uniform or a file, there is no file '
    assert errors == [f'{message}{tmp_path}/absent.csv']
    assert 'Traceback' not in done.stderr
    assert not output.exists()

    done = _export_command(between, output, f'--target_prior={shop_file}')
    assert done.returncode == 0, done.stderr
    card = json.loads((output / 'model_card.json').read_text())
    assert card['prior'] == 'shop.csv, shifted at export'


@pytest.fixture(scope='module')
def run(between: str) -> Run:
    return open_run(between)


_ROWS = 'category_id,share\n1000,1\n1007,1\n1014,1\n'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (_ROWS, 'must have a share for each of the 4 categories, got 3; category 1021 has none'),
        (_ROWS + '9,1\n', "line 5: must be a category_id of the tree and a share, got '9,1'"),
        (_ROWS + 'LEAF 3,1\n', "line 5: must be a category_id of the tree and a share, got 'LEAF"),
        (_ROWS + '1021\n', "line 5: must be a category_id of the tree and a share, got '1021'"),
        (_ROWS + '1021,1,1\n', 'line 5: must be a category_id of the tree and a share'),
        (_ROWS + '1021,many\n', 'line 5: must be a category_id of the tree and a share'),
        (_ROWS + '1007,2\n1021,1\n', 'line 5: category 1007 occurs twice'),
        (_ROWS + '1021,0\n', 'line 5: the share must be above 0, got 0'),
        (_ROWS + '1021,-1\n', 'line 5: the share must be above 0, got -1'),
        (_ROWS + '1021,nan\n', 'line 5: the share must be above 0, got nan'),
        (_ROWS + '1021,inf\n', 'line 5: the share must be above 0, got inf'),
        ('category,share\n', 'the header must be category_id,share, got category,share'),
        ('', 'the header must be category_id,share, got nothing'),
        ('category_id,share\n1000,1\xe9\n', 'must be UTF-8'),
        ('{' * 200_000, 'must be CSV, got: field larger than field limit'),
    ],
)
def test_an_invalid_file_is_an_error_in_one_line(
    run: Run, between: str, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / 'prior.csv'
    path.write_bytes(content.encode('latin-1'))
    with pytest.raises(UserError) as caught:
        read_shift(str(path), run, run_files.restore_categories(between), workdir=between)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('line_end', ['\n', '\r\n', '\r'])
def test_a_file_may_have_a_byte_order_mark_empty_lines_and_any_line_ends(
    run: Run, between: str, tmp_path: Path, line_end: str
) -> None:
    path = tmp_path / 'prior.csv'
    path.write_bytes(b'\xef\xbb\xbf' + (SHOP_FILE + '\n').replace('\n', line_end).encode())
    shift = read_shift(str(path), run, run_files.restore_categories(between), workdir=between)
    expected = np.log(_normalized(SHOP) / _normalized(NATURAL**0.5))
    np.testing.assert_allclose(shift, expected, rtol=1e-5)


@pytest.mark.parametrize('path', ['absent.csv', ''], ids=['absent', 'a folder'])
def test_a_missing_file_is_an_error_that_names_the_choices(
    run: Run, between: str, tmp_path: Path, path: str
) -> None:
    with pytest.raises(UserError, match='--target_prior must be natural, uniform or a file'):
        read_shift(
            str(tmp_path / path), run, run_files.restore_categories(between), workdir=between
        )


def test_a_tau_normalized_model_has_no_known_prior_to_shift(between: str, tmp_path: Path) -> None:
    workdir = str(tmp_path / 'tau')
    tau.write_normalized(workdir=between, output=workdir, tau=0.5)
    output = tmp_path / 'models' / 'clothes' / '1'
    with pytest.raises(UserError, match=f'{workdir}: --target_prior needs a model with a known'):
        saved_model.export(
            workdir=workdir, output=str(output), top_k=4, threshold=0.5, target_prior='uniform'
        )
    assert os.listdir(output.parent) == []
