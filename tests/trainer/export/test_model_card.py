"""`model_card.json`."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.trainer.export.reference import SIZE, encode_picture
from trainer.export import saved_model


def test_the_card_describes_the_model(exported: Path, data_folder: str) -> None:
    card = json.loads((exported / 'model_card.json').read_text())
    manifest = Path(data_folder, 'manifest.json').read_bytes()
    assert (card['name'], card['version'], card['classes']) == ('clothes', 3, 4)
    assert card['data_manifest_sha256'] == hashlib.sha256(manifest).hexdigest()
    assert card['level_threshold'] == 0.5
    assert card['config']['model']['channels'] == 4
    assert (card['preprocessing']['height'], card['preprocessing']['width']) == (SIZE, SIZE)
    assert card['evaluation'] is None  # this run was not evaluated
    assert {'code', 'initial_weights', 'training_data'} == set(card['licences'])
    assert card['calibration']['words'].startswith('not calibrated: there is no report/')
    assert (card['calibration']['picture'], card['calibration']['product']) == (1, 1)
    assert card['most_common'] == {'category_id': 1000, 'share': pytest.approx(46 / 98)}


def _dtype_and_rank(name: str, signature: Any) -> tuple[str, int]:
    """Returns the dtype and the rank of an output."""
    spec = signature.structured_outputs[name]
    return spec.dtype.name, len(spec.shape)


def test_the_card_lists_the_signatures_of_the_model(exported: Path, loaded: Any) -> None:
    listed = json.loads((exported / 'model_card.json').read_text())['signatures']
    assert set(listed) == set(loaded.signatures)
    for name, signature in loaded.signatures.items():
        assert set(listed[name]['inputs']) == set(signature.structured_input_signature[1])
        assert set(listed[name]['outputs']) == set(signature.structured_outputs)
        for output, text in listed[name]['outputs'].items():
            dtype, rank = _dtype_and_rank(output, signature)
            assert text.startswith(f'{dtype} [')
            assert text[: text.index(']')].count(',') + 1 == rank


def test_the_card_has_the_metrics_of_an_evaluated_run(workdir: str, tmp_path: Path) -> None:
    evaluated = tmp_path / 'workdir'
    shutil.copytree(workdir, evaluated)
    (evaluated / 'report').mkdir()
    (evaluated / 'report' / 'evaluation.json').write_text(
        '{"accuracy": 0.75, "pictures": {"accuracy": 0.5}, "classes": [1, 2, 3]}'
    )
    output = tmp_path / 'clothes' / '1'
    saved_model.export(workdir=str(evaluated), output=str(output), top_k=2, threshold=0.9)
    card = json.loads((output / 'model_card.json').read_text())
    assert card['evaluation'] == {'accuracy': 0.75, 'pictures': {'accuracy': 0.5}}
    assert card['level_threshold'] == 0.9
    outputs = tf.saved_model.load(str(output)).signatures['serving_default'](
        image_bytes=tf.constant([encode_picture(0)])
    )
    assert outputs['label'].shape == (1, 2)
