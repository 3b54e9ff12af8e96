"""`python -m serving.convert`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.predict import opening as batch
from beam_pipelines.predict import running
from beam_pipelines.predict.options import PredictOptions
from catalog.digests import folder as digests
from catalog.errors import UserError
from catalog.networks.network import FILES, RuntimeName
from catalog.predictions.columns import Columns
from serving.convert import agreement
from serving.convert.agreement import Agreement
from serving.convert.conversion import convert
from serving.convert.options import Conversion
from serving.runtimes import opening
from serving.shard_pictures import labelled
from tests.shop import product
from tests.trainer.conftest import jpeg


def _run(*flags: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'serving.convert', *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_an_int8_network_is_calibrated_compared_and_written(
    exported: Path, shards: str, tmp_path: Path
) -> None:
    output = tmp_path / 'shop' / '2'
    done = _run(
        f'--model={exported}', '--to=openvino', '--precision=int8', f'--data={shards}',
        f'--output={output}', '--calibration_pictures=40',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'flops' not in done.stderr  # of TensorFlow's profiler
    assert 'of 60 validation pictures have the same category' in done.stdout
    assert f'written to {output}' in done.stdout
    assert digests.verify(str(output)) == 'intact'
    assert json.loads((output / 'network.json').read_text())['precision'] == 'int8'
    card = json.loads((output / 'model_card.json').read_text())
    conversion = card['conversion']
    assert conversion['calibration_pictures'] == 40
    assert conversion['agreement']['pictures'] == 60
    assert conversion['agreement']['top1'] >= 0.98
    assert card['classes'] == 4
    model = opening.open_model(str(output))
    photos = [picture.encoded for picture in labelled.read(shards, 'validation', limit=8)]
    embedding = model.run('embedding', {'image_bytes': np.array(photos, object)})['embedding']
    model.close()
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize('runtime', ['onnx', 'litert'])
def test_other_runtimes_have_int8_networks_that_agree(
    runtime: RuntimeName, exported: Path, shards: str, tmp_path: Path
) -> None:
    output = tmp_path / '1'
    conversion = Conversion(
        str(exported), str(output), runtime, 'int8', data=shards, calibration_pictures=40
    )
    found = convert(conversion, report=lambda line: None)
    assert found
    assert (found.pictures, found.top1) == (60, pytest.approx(1, abs=0.02))
    assert found.confidence < 0.1
    assert (output / FILES[runtime]).exists()


def test_an_int8_network_that_disagrees_on_more_than_2_percent_is_refused() -> None:
    def found(top1: float) -> Agreement:
        return Agreement(pictures=849, top1=top1, confidence=0.1, accuracy=0.9, source_accuracy=0.9)

    agreement.check_int8(found(0.98), output='models/shop/2')
    with pytest.raises(UserError) as error:
        agreement.check_int8(found(0.971), output='models/shop/2')
    assert str(error.value).startswith(
        'models/shop/2: an int8 network must agree with its model on 98% of the validation '
        'pictures, got 97.1% of 849; '
    )


def test_a_folder_that_is_no_exported_model_is_named(tmp_path: Path) -> None:
    done = _run(f'--model={tmp_path}', '--to=onnx', f'--output={tmp_path}/shop/1')
    assert done.returncode == 2
    assert f'error: {tmp_path}: --model must be a version folder' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        ({'runtime': 'onnx', 'precision': 'bf16'}, 'bf16 needs --to=openvino, got onnx'),
        ({'precision': 'int8'}, 'int8 needs --data'),
        ({'validation_pictures': 0}, '--validation_pictures must be at least 1, got 0'),
    ],
)
def test_flags_that_do_not_fit_are_refused(change: dict[str, object], rule: str) -> None:
    fields: dict[str, object] = {'runtime': 'openvino', 'precision': 'fp32', **change}
    with pytest.raises(UserError, match=rule):
        Conversion('models/a/1', 'models/b/1', **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--output=shop/latest'], '--output must be DIR/MODEL/VERSION with an integer version'),
        (['--output=shop/1', '--precision=bf16'], '--precision=bf16 needs --to=openvino, got onnx'),
        (['--output={exported}'], 'must not exist yet'),
        (['--output=shop/1', '--data={exported}'], 'a data set must have a manifest.json'),
    ],
)
def test_a_mistake_is_reported_before_tensorflow_is_imported(
    exported: Path, flags: list[str], message: str
) -> None:
    done = subprocess.run(
        [
            sys.executable, '-X', 'importtime', '-m', 'serving.convert',
            f'--model={exported}', '--to=onnx', *(flag.format(exported=exported) for flag in flags),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 2
    *imports, error = done.stderr.splitlines()
    assert error.startswith('error: ')
    assert message in error
    assert any(line.endswith(' serving.convert.options') for line in imports)
    assert not [line for line in imports if line.split('|')[-1].strip() == 'tensorflow']


def test_batch_predictions_of_a_converted_model_are_those_of_the_saved_model(
    exported: Path, converted: Callable[..., Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(3)
    pictures = [jpeg(random, label=number % 4) for number in range(40)]
    documents = [product(n, None, pictures[n : n + 1 + n % 3]) for n in range(38)]
    (tmp_path / 'test.bson').write_bytes(b''.join(documents))
    rows = []
    for number, model in enumerate((exported, converted('onnx'))):
        opened = batch.open_job(
            model=str(model),
            inputs=[str(tmp_path / 'test.bson')],
            output=str(tmp_path / str(number)),
            options=PredictOptions(Columns(confidence=True, level=True)),
        )
        running.run(opened, overwrite=False)
        path = tmp_path / str(number) / 'predictions-00000-of-00001.csv'
        rows.append(np.loadtxt(path, delimiter=',', skiprows=1))
    of_saved_model, of_network = rows
    assert len(of_network) == 38
    assert len(set(of_network[:, 1])) > 1
    np.testing.assert_allclose(of_network, of_saved_model, atol=2e-5)
