"""The model that leaves: its answers, what else is in its folder, and that it appears whole."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from catalog import categories
from catalog.errors import UserError
from trainer.config import InputConfig, ModelConfig, OptimizerConfig, TrainConfig
from trainer.data import data_set
from trainer.export import saved_model as exporting
from trainer.export import serving_module
from trainer.inference.runs import restore_member
from trainer.training import loop as train
from trainer.workdir import run_files

SIZE = 28  # pixels


@pytest.fixture(scope='module')
def workdir(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that has learned a little."""
    folder = str(tmp_path_factory.mktemp('run') / 'workdir')
    config = TrainConfig(
        batch_size=8,
        total_steps=12,
        model=ModelConfig(channels=4),
        input=InputConfig(height=SIZE, width=SIZE),
        optimizer=OptimizerConfig(learning_rate=0.01),
    )
    train.train(config, data_set.open_data_set(data_folder), folder)
    return folder


@pytest.fixture(scope='module')
def exported(workdir: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version folder, written by the door itself."""
    folder = tmp_path_factory.mktemp('models') / 'clothes' / '3'
    run = subprocess.run(
        [sys.executable, '-m', 'trainer.export', f'--workdir={workdir}', f'--output={folder}'],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope='module')
def loaded(exported: Path) -> Any:
    return tf.saved_model.load(str(exported))


def _picture(
    seed: int, *, mode: str = 'RGB', kind: str = 'JPEG', size: tuple[int, int] = (SIZE, SIZE)
) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    pixels[: size[0] // 2] //= 1 + seed  # so that pictures differ in more than noise
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def _in_memory(workdir: str, encoded: list[bytes]) -> np.ndarray:
    """Probabilities of the model before it was exported: float64 [N, C]."""
    model = restore_member(workdir)[0].model
    pixels = np.stack([Image.open(io.BytesIO(data)) for data in encoded])
    logits = model(pixels.astype(np.float32) / 127.5 - 1, training=False).numpy()
    exponents = np.exp(logits.astype(np.float64))
    return exponents / exponents.sum(axis=1, keepdims=True)


_FRESH = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
encoded = [open(path, 'rb').read() for path in sys.argv[3:]]
answers = model.signatures['serving_default'](image_bytes=tf.constant(encoded))
def plain(array):
    return array.astype('S') if array.dtype == object else array
np.savez(sys.argv[2], **{name: plain(value.numpy()) for name, value in answers.items()})
assert 'trainer' not in sys.modules
"""


_SESSION = """
import sys, numpy as np, tensorflow as tf
from trainer.workdir import run_files
encoded = [open(path, 'rb').read() for path in sys.argv[3:]]
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta = tf.compat.v1.saved_model.loader.load(session, ['serve'], sys.argv[1])
    signature = meta.signature_def['serving_default']
    confidence = session.run(
        signature.outputs['confidence'].name, {signature.inputs['image_bytes'].name: encoded}
    )
np.save(sys.argv[2], confidence)
"""


def test_a_session_gets_the_same_answers_as_tensorflow_serving_runs_a_model_in_one(
    exported: Path, workdir: str, tmp_path: Path
) -> None:
    encoded = [_picture(seed) for seed in range(4)]
    paths = [tmp_path / f'{i}.jpg' for i in range(4)]
    for path, data in zip(paths, encoded, strict=True):
        path.write_bytes(data)
    result = tmp_path / 'confidence.npy'
    subprocess.run([sys.executable, '-c', _SESSION, exported, result, *paths], check=True, cwd='/')
    expected = -np.sort(-_in_memory(workdir, encoded), axis=1)
    np.testing.assert_allclose(np.load(result), expected[:, :5], atol=1e-6)


def test_a_fresh_process_gets_the_answers_of_the_model_in_memory(
    exported: Path, workdir: str, data_folder: str, tmp_path: Path
) -> None:
    encoded = [_picture(seed) for seed in range(6)]
    paths = [tmp_path / f'{i}.jpg' for i in range(6)]
    for path, data in zip(paths, encoded, strict=True):
        path.write_bytes(data)
    result = tmp_path / 'answers.npz'

    subprocess.run([sys.executable, '-c', _FRESH, exported, result, *paths], check=True, cwd='/')

    answers = np.load(result)
    expected = _in_memory(workdir, encoded)
    order = np.argsort(-expected, axis=1, kind='stable')
    tree = categories.load(f'{data_folder}/category_names.csv')
    np.testing.assert_array_equal(answers['label'], order)
    np.testing.assert_allclose(
        answers['confidence'], np.take_along_axis(expected, order, axis=1), atol=1e-6
    )
    np.testing.assert_array_equal(answers['category_id'], tree.ids[order])
    for level in range(3):
        names = np.array([tree.names[label][level].encode() for label in order.ravel()])
        np.testing.assert_array_equal(answers[f'level{level + 1}'].ravel(), names)
    assert answers['confidence'].dtype == np.float32
    assert answers['label'].dtype == answers['category_id'].dtype == np.int64


@pytest.mark.parametrize(
    'data',
    [
        _picture(1),
        _picture(1, mode='L'),
        _picture(1, kind='PNG'),
        _picture(1, mode='L', kind='PNG'),
        _picture(1, mode='RGBA', kind='PNG'),
        _picture(1, kind='GIF', mode='P'),
        _picture(1, size=(41, 90)),
    ],
    ids=['jpeg', 'grey jpeg', 'png', 'grey png', 'png with alpha', 'gif', 'of another size'],
)
def test_pictures_of_many_kinds_are_accepted(loaded: Any, data: bytes) -> None:
    answers = loaded.signatures['serving_default'](image_bytes=tf.constant([data]))
    assert answers['label'].shape == (1, 4)
    assert float(tf.reduce_sum(answers['confidence'])) == pytest.approx(1, abs=1e-5)


def test_bytes_that_are_no_picture_are_refused(loaded: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures['serving_default'](image_bytes=tf.constant([b'not a picture']))


def test_a_product_is_the_mean_of_its_pictures(loaded: Any, workdir: str) -> None:
    encoded = [_picture(seed) for seed in range(6)]
    product = np.array([2, 0, 2, 1, 0, 2])
    each = _in_memory(workdir, encoded)
    mean = np.stack([each[product == p].mean(axis=0) for p in range(3)])

    answers = loaded.signatures['product'](
        image_bytes=tf.constant(encoded), product=tf.constant(product)
    )

    order = np.argsort(-mean, axis=1)
    np.testing.assert_array_equal(answers['label'], order)
    np.testing.assert_allclose(
        answers['confidence'], np.take_along_axis(mean, order, axis=1), atol=1e-6
    )
    tree = run_files.restore_categories(workdir)
    for row, level in zip(mean, answers['level'].numpy(), strict=True):
        best = row.argmax()
        trusted = [
            row[tree.level1 == tree.level1[best]].sum() >= 0.5,
            row[tree.level2 == tree.level2[best]].sum() >= 0.5,
            row[best] >= 0.5,
        ]
        assert level == max((depth for depth, ok in enumerate(trusted, 1) if ok), default=0)


@pytest.mark.parametrize(
    ('product', 'message'),
    [
        ([0, 2], 'product must use every number from 0 to P-1'),
        ([-1, 0], 'product must use every number from 0 to P-1'),
        ([0], 'product must have one number per picture'),
    ],
)
def test_product_numbers_that_make_no_sense_are_refused(
    loaded: Any, product: list[int], message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loaded.signatures['product'](
            image_bytes=tf.constant([_picture(0), _picture(1)]),
            product=tf.constant(product, tf.int64),
        )


def test_an_embedding_has_length_one_and_is_that_of_the_features(loaded: Any, workdir: str) -> None:
    encoded = [_picture(seed) for seed in range(4)]
    found = loaded.signatures['embedding'](image_bytes=tf.constant(encoded))['embedding'].numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)

    model = restore_member(workdir)[0].model
    features = keras.Model(model.inputs, model.layers[-2].output)  # the last layer gives logits
    pixels = np.stack([Image.open(io.BytesIO(data)) for data in encoded])
    expected = features([pixels.astype(np.float32) / 127.5 - 1], training=False).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _tree() -> categories.Categories:
    # 4 leaves: 0 and 1 under one level-2 node, 2 beside them under the same level-1 node, 3 apart.
    text = (
        'category_id,category_level1,category_level2,category_level3\n'
        '71,HAUT,"A, ""B"""," BÉBÉ "\n72,HAUT,"A, ""B""",DEUX\n9,HAUT,C,TROIS\n5,BAS,C,QUATRE\n'
    )
    return categories.parse(text.encode(), path='names.csv')


def test_the_level_is_the_deepest_whose_summed_confidence_passes() -> None:
    probabilities = tf.constant(
        [
            [0.60, 0.20, 0.10, 0.10],  # the leaf alone
            [0.40, 0.30, 0.20, 0.10],  # 0.7 with its sister
            [0.30, 0.15, 0.28, 0.27],  # 0.73 under HAUT only
            [0.23, 0.23, 0.00, 0.54],  # BAS, which has but this leaf
            [0.25, 0.00, 0.22, 0.53],
        ]
    )
    level = serving_module.deepest_level(probabilities, _tree(), threshold=0.5)
    assert level.numpy().tolist() == [3, 2, 1, 3, 3]
    level = serving_module.deepest_level(probabilities, _tree(), threshold=0.75)
    assert level.numpy().tolist() == [2, 1, 0, 0, 0]
    assert level.dtype == tf.int64


def test_names_come_out_as_they_went_in() -> None:
    answers = serving_module.top_categories(
        tf.constant([[0.1, 0.0, 0.2, 0.7], [1.0, 0, 0, 0]]), _tree(), top_k=2
    )
    assert answers['level3'].numpy().tolist() == [
        [b'QUATRE', b'TROIS'],
        [' BÉBÉ '.encode(), b'DEUX'],
    ]  # fmt: skip
    assert answers['level2'].numpy()[1, 0] == b'A, "B"'
    assert answers['category_id'].numpy().tolist() == [[5, 9], [71, 72]]


def test_the_warm_up_requests_are_official_and_run(exported: Path, loaded: Any) -> None:
    path = str(exported / 'assets.extra' / 'tf_serving_warmup_requests')
    logs = [
        prediction_log_pb2.PredictionLog.FromString(data.numpy())
        for data in tf.data.TFRecordDataset(path)
    ]
    requests = [log.predict_log.request for log in logs]
    assert [request.model_spec.signature_name for request in requests] == [
        'serving_default',
        'product',
        'embedding',
    ]
    for request in requests:
        assert request.model_spec.name == 'clothes'
        inputs = {name: tf.constant(tf.make_ndarray(p)) for name, p in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](**inputs)
        assert all(len(output) == 1 for output in outputs.values())


def test_every_file_has_its_digest(exported: Path) -> None:
    said = json.loads((exported / 'digests.json').read_text())['sha256']
    files = {path for path in exported.rglob('*') if path.is_file()} - {exported / 'digests.json'}
    assert said == {
        path.relative_to(exported).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert {'saved_model.pb', 'model_card.json', 'assets/category_names.csv'} <= set(said)


def test_the_category_tree_is_inside_byte_for_byte(exported: Path, data_folder: str) -> None:
    inside = (exported / 'assets' / 'category_names.csv').read_bytes()
    assert inside == Path(data_folder, 'category_names.csv').read_bytes()


def test_the_card_says_what_the_model_is(exported: Path, data_folder: str) -> None:
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


def _shape(name: str, signature: Any) -> tuple[str, int]:
    """What the card says of an output, as TensorFlow says it: `float32 [N, 4], …` -> both parts."""
    spec = signature.structured_outputs[name]
    return spec.dtype.name, len(spec.shape)


def test_the_card_lists_the_signatures_that_there_are(exported: Path, loaded: Any) -> None:
    said = json.loads((exported / 'model_card.json').read_text())['signatures']
    assert set(said) == set(loaded.signatures)
    for name, signature in loaded.signatures.items():
        assert set(said[name]['inputs']) == set(signature.structured_input_signature[1])
        assert set(said[name]['outputs']) == set(signature.structured_outputs)
        for output, text in said[name]['outputs'].items():
            dtype, rank = _shape(output, signature)
            assert text.startswith(f'{dtype} [')
            assert text[: text.index(']')].count(',') + 1 == rank


def test_the_card_carries_the_figures_of_an_evaluated_run(workdir: str, tmp_path: Path) -> None:
    evaluated = tmp_path / 'workdir'
    shutil.copytree(workdir, evaluated)
    (evaluated / 'report').mkdir()
    (evaluated / 'report' / 'evaluation.json').write_text(
        '{"accuracy": 0.75, "pictures": {"accuracy": 0.5}, "classes": [1, 2, 3]}'
    )
    output = tmp_path / 'clothes' / '1'
    exporting.export(workdir=str(evaluated), output=str(output), top_k=2, threshold=0.9)
    card = json.loads((output / 'model_card.json').read_text())
    assert card['evaluation'] == {'accuracy': 0.75, 'pictures': {'accuracy': 0.5}}
    assert card['level_threshold'] == 0.9
    answers = tf.saved_model.load(str(output)).signatures['serving_default'](
        image_bytes=tf.constant([_picture(0)])
    )
    assert answers['label'].shape == (1, 2)


def _calibrated(workdir: str, folder: Path, *, step: int = 12) -> Any:
    """A model of a run whose report has temperatures, for pictures and for products."""
    evaluated = folder / 'workdir'
    shutil.copytree(workdir, evaluated)
    (evaluated / 'report').mkdir()
    temperature = {'picture': 2.0, 'product': 0.5, 'fitted_on': 'validation', 'fitted_products': 9}
    (evaluated / 'report' / 'evaluation.json').write_text(
        json.dumps({'accuracy': 0.75, 'step': step, 'temperature': temperature})
    )
    exporting.export(workdir=str(evaluated), output=str(folder / 'm' / '1'), top_k=4, threshold=0.5)
    return tf.saved_model.load(str(folder / 'm' / '1'))


def _powers(probabilities: np.ndarray, exponent: float) -> np.ndarray:
    powers = probabilities**exponent
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_temperatures_of_the_report_calibrate_the_confidence(
    workdir: str, tmp_path: Path
) -> None:
    signatures = _calibrated(workdir, tmp_path).signatures
    encoded = [_picture(seed) for seed in range(5)]
    each = _in_memory(workdir, encoded)

    answers = signatures['serving_default'](image_bytes=tf.constant(encoded))
    expected = -np.sort(-_powers(each, 1 / 2.0), axis=1)
    np.testing.assert_allclose(answers['confidence'], expected, atol=1e-6)

    product = np.array([0, 1, 0, 1, 1])
    answers = signatures['product'](image_bytes=tf.constant(encoded), product=tf.constant(product))
    mean = np.stack([each[product == p].mean(axis=0) for p in range(2)])
    expected = -np.sort(-_powers(mean, 1 / 0.5), axis=1)
    np.testing.assert_allclose(answers['confidence'], expected, atol=1e-6)

    card = json.loads((tmp_path / 'm' / '1' / 'model_card.json').read_text())
    assert card['calibration'] == {
        'picture': 2.0,
        'product': 0.5,
        'words': 'calibrated on 9 products of validation',
    }
    said = card['signatures']['product']['outputs']['confidence']
    assert said == 'float32 [P, 4], calibrated on 9 products of validation'


def test_temperatures_of_another_step_are_not_taken(workdir: str, tmp_path: Path) -> None:
    _calibrated(workdir, tmp_path, step=6)
    card = json.loads((tmp_path / 'm' / '1' / 'model_card.json').read_text())
    assert card['calibration']['product'] == 1
    assert 'is from step 6, the model from step 12' in card['calibration']['words']


def test_a_function_beside_the_signatures_has_all_probabilities(loaded: Any, workdir: str) -> None:
    encoded = [_picture(seed) for seed in range(3)]
    pixels = np.stack([Image.open(io.BytesIO(data)) for data in encoded])
    found = loaded.product_probabilities(tf.constant(pixels), tf.constant([0, 0, 1], tf.int64))
    each = _in_memory(workdir, encoded)
    np.testing.assert_allclose(found, [each[:2].mean(axis=0), each[2]], atol=1e-6)


def test_an_existing_version_is_refused_and_left_as_it_is(exported: Path, workdir: str) -> None:
    before = exporting.digests(exported)
    with pytest.raises(UserError, match='must not exist yet'):
        exporting.export(workdir=workdir, output=str(exported), top_k=5, threshold=0.5)
    assert exporting.digests(exported) == before
    assert os.listdir(exported.parent) == ['3']


def test_a_failure_after_the_model_is_written_leaves_nothing(workdir: str, tmp_path: Path) -> None:
    broken = tmp_path / 'workdir'
    shutil.copytree(workdir, broken)
    (broken / 'report').mkdir()
    (broken / 'report' / 'evaluation.json').write_text('{"accuracy": 0.7')  # cut off
    output = tmp_path / 'models' / 'clothes' / '1'
    with pytest.raises(UserError, match=r'evaluation\.json: must be JSON'):
        exporting.export(workdir=str(broken), output=str(output), top_k=5, threshold=0.5)
    assert os.listdir(output.parent) == []


def test_a_server_that_watches_the_folder_never_sees_half_a_version(
    workdir: str, tmp_path: Path
) -> None:
    output = tmp_path / 'clothes' / '7'
    seen, names, done = [], set(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            if output.parent.exists():
                names.update(os.listdir(output.parent))
            if output.exists():
                said = json.loads((output / 'digests.json').read_text())['sha256']
                seen.append(said == exporting.digests(output))
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        exporting.export(workdir=workdir, output=str(output), top_k=5, threshold=0.5)
    finally:
        watcher.join(timeout=30)
        done.set()
    assert seen == [True]  # whole at first sight
    (temporary,) = names - {'7'}
    assert not temporary.isdecimal()  # no version to TensorFlow Serving


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'output': 'clothes/latest'}, 'must be DIR/MODEL/VERSION with an integer version'),
        ({'output': '5'}, 'must be DIR/MODEL/VERSION'),
        ({'output': 'gs://bucket/clothes/1'}, 'must be a local folder'),
        ({'top_k': 0}, '--top_k must be at least 1, got 0'),
        ({'threshold': 1.5}, r'--threshold must be in \[0, 1\], got 1.5'),
        ({'workdir': '/nowhere'}, '/nowhere: a workdir must have a config.json'),
    ],
)
def test_a_mistake_is_named(
    workdir: str, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arguments = {
        'workdir': workdir,
        'output': str(tmp_path / 'clothes' / '1'),
        'top_k': 5,
        'threshold': 0.5,
    }
    with pytest.raises(UserError, match=message):
        exporting.export(**{**arguments, **change})
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []
