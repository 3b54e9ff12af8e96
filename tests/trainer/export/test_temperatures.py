"""The calibration that is exported with a model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.trainer.export.reference import encode_picture, model_probabilities
from trainer.export import saved_model


def _export_calibrated(workdir: str, folder: Path, *, step: int = 12) -> Any:
    """Exports a run whose report has temperatures for pictures and for products."""
    evaluated = folder / 'workdir'
    shutil.copytree(workdir, evaluated)
    (evaluated / 'report').mkdir()
    temperature = {'picture': 2.0, 'product': 0.5, 'fitted_on': 'validation', 'fitted_products': 9}
    (evaluated / 'report' / 'evaluation.json').write_text(
        json.dumps({'accuracy': 0.75, 'step': step, 'temperature': temperature})
    )
    saved_model.export(
        workdir=str(evaluated), output=str(folder / 'm' / '1'), top_k=4, threshold=0.5
    )
    return tf.saved_model.load(str(folder / 'm' / '1'))


def _powers(probabilities: np.ndarray, exponent: float) -> np.ndarray:
    powers = probabilities**exponent
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_temperatures_of_the_report_calibrate_the_confidence(
    workdir: str, tmp_path: Path
) -> None:
    signatures = _export_calibrated(workdir, tmp_path).signatures
    encoded = [encode_picture(seed) for seed in range(5)]
    each = model_probabilities(workdir, encoded)

    outputs = signatures['serving_default'](image_bytes=tf.constant(encoded))
    expected = -np.sort(-_powers(each, 1 / 2.0), axis=1)
    np.testing.assert_allclose(outputs['confidence'], expected, atol=1e-6)

    product = np.array([0, 1, 0, 1, 1])
    outputs = signatures['product'](image_bytes=tf.constant(encoded), product=tf.constant(product))
    mean = np.stack([each[product == p].mean(axis=0) for p in range(2)])
    expected = -np.sort(-_powers(mean, 1 / 0.5), axis=1)
    np.testing.assert_allclose(outputs['confidence'], expected, atol=1e-6)

    card = json.loads((tmp_path / 'm' / '1' / 'model_card.json').read_text())
    assert card['calibration'] == {
        'picture': 2.0,
        'product': 0.5,
        'words': 'calibrated on 9 products of validation',
    }
    listed = card['signatures']['product']['outputs']['confidence']
    assert listed == 'float32 [P, 4], calibrated on 9 products of validation'


def test_temperatures_of_another_step_are_not_used(workdir: str, tmp_path: Path) -> None:
    _export_calibrated(workdir, tmp_path, step=6)
    card = json.loads((tmp_path / 'm' / '1' / 'model_card.json').read_text())
    assert card['calibration']['product'] == 1
    assert 'is from step 6, the model from step 12' in card['calibration']['words']
