"""Ensembles: built, evaluated, exported, and used as a teacher."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from sklearn import metrics as oracle

from catalog import record
from catalog.errors import UserError
from catalog.formats import tfrecord
from trainer.config import files
from trainer.data import preprocess
from trainer.data.data_set import open_data_set
from trainer.data.info import data_info
from trainer.ensemble import build
from trainer.evaluate import evaluation
from trainer.export import saved_model
from trainer.inference import runs
from trainer.inference.runs import restore_member
from trainer.training.distillation import restore_teacher
from trainer.training.loop import train

SMALL = (
    'batch_size=16',
    'log_every_steps=10',
    'checkpoint_every_steps=10',
    'input.shuffle_records=40',
    'optimizer.learning_rate=0.01',
    'optimizer.schedule.warmup_steps=0',
)
MEMBERS = {
    'cnn': ('total_steps=30', 'model.channels=4'),
    'xception': (  # inputs in [0, 1], larger images
        'total_steps=10',
        'model.name=small_xception',
        'input.height=32',
        'input.width=40',
    ),
    'fused': ('total_steps=20', 'model.channels=4', 'model.fusion.name=gated', 'seed=1'),
}
HEIGHT, WIDTH = 32, 40  # of the largest


@pytest.fixture(scope='module')
def workdirs(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp('members')
    for name, flags in MEMBERS.items():
        config = files.load('configs/tiny.py', [*SMALL, *flags])
        train(config, open_data_set(data_folder), str(folder / name))
    return {name: str(folder / name) for name in MEMBERS}


@pytest.fixture(scope='module')
def folder(workdirs: dict[str, str], data_folder: str, tmp_path_factory) -> str:
    """The ensemble, built by the command line."""
    output = tmp_path_factory.mktemp('ensemble') / 'all'
    flags = [f'--workdirs={",".join(workdirs.values())}', f'--data={data_folder}']
    command = [sys.executable, '-m', 'trainer.ensemble', *flags, f'--output={output}']
    done = subprocess.run([*command, '--combine=fitted_arithmetic'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'chosen: fitted_arithmetic, weights' in done.stdout
    return str(output)


@pytest.fixture(scope='module')
def weights(folder: str) -> np.ndarray:
    document = json.loads((Path(folder) / 'ensemble.json').read_text())
    assert document['combination']['name'] == 'arithmetic'
    found = np.array(document['combination']['weights'])[:, 0]
    assert found.sum() == pytest.approx(1)
    return found


@pytest.fixture(scope='module')
def products(data_folder: str) -> list[record.Record]:
    """The validation products, in the order of the shards."""
    found = []
    for name in sorted(os.listdir(data_folder)):
        if name.startswith('validation'):
            data = (Path(data_folder) / name).read_bytes()
            found += [record.decode(one) for one in tfrecord.read(io.BytesIO(data))]
    return found


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(np.asarray(logits, np.float64))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def _pixels(encoded: bytes) -> np.ndarray:
    return preprocess.decode(tf.constant(encoded), height=HEIGHT, width=WIDTH).numpy()


def _by_member(workdirs: dict[str, str], pictures: list[bytes]) -> list[np.ndarray]:
    """Probabilities of one product by each member, computed step by step: float64 [C]."""
    pixels = np.stack([_pixels(encoded) for encoded in pictures]).astype(np.float32)
    small = tf.image.resize(pixels, [28, 28], antialias=True).numpy()
    models = {name: restore_member(path)[0].model for name, path in workdirs.items()}
    count = min(len(pictures), 4)
    return [
        _softmax(models['cnn'](small / 127.5 - 1)).mean(axis=0),
        _softmax(models['xception'](pixels / 255)).mean(axis=0),
        _softmax(models['fused']([small[:4] / 127.5 - 1, np.ones([1, count], bool)]))[0],
    ]


@pytest.fixture(scope='module')
def expected(workdirs, weights: np.ndarray, products: list[record.Record]) -> np.ndarray:
    """The weighted mean for each product, float64 [N, C]."""
    return np.array([weights @ _by_member(workdirs, product.pictures) for product in products])


def test_an_ensemble_is_evaluated_like_a_run(
    folder: str, data_folder: str, expected: np.ndarray, products, tmp_path: Path
) -> None:
    output = str(tmp_path / 'report')
    evaluation.evaluate(workdir=folder, data_folder=data_folder, split='validation', output=output)
    found = json.loads((tmp_path / 'report' / 'evaluation.json').read_text())
    labels = [product.category.label for product in products]
    assert found['accuracy'] == oracle.accuracy_score(labels, expected.argmax(axis=1))
    loss = oracle.log_loss(labels, expected, labels=range(4))
    assert found['loss'] == pytest.approx(loss, rel=1e-4)
    assert 'weighted mean of 3 models' in found['definitions']['product']
    rows = pq.read_table(tmp_path / 'report' / 'predictions.parquet').to_pydict()
    order = {product_id: i for i, product_id in enumerate(rows['product_id'])}
    for product, own in zip(products, expected, strict=True):
        assert rows['predicted'][order[product.product_id]][0] == own.argmax()


def test_an_ensemble_is_exported_as_one_model(
    folder: str, workdirs, weights: np.ndarray, expected: np.ndarray, products, tmp_path: Path
) -> None:
    output = tmp_path / 'shop' / '1'
    saved_model.export(workdir=folder, output=str(output), top_k=4, threshold=0.5)
    loaded = tf.saved_model.load(str(output))
    assert set(loaded.signatures) == {'serving_default', 'product', 'embedding', 'pixels'}
    pictures = [picture for product in products for picture in product.pictures]
    numbers = np.repeat(np.arange(len(products)), [len(p.pictures) for p in products])
    outputs = loaded.signatures['product'](
        image_bytes=tf.constant(pictures), product=tf.constant(numbers)
    )
    np.testing.assert_allclose(outputs['confidence'], -np.sort(-expected, axis=1), atol=1e-4)
    pixels = np.stack([_pixels(picture) for picture in pictures])
    every = loaded.product_probabilities(tf.constant(pixels), tf.constant(numbers))
    np.testing.assert_allclose(every, expected, atol=1e-4)
    alone = loaded.signatures['serving_default'](image_bytes=tf.constant(pictures[:1]))
    own = weights @ _by_member(workdirs, pictures[:1])
    np.testing.assert_allclose(alone['confidence'][0], -np.sort(-own), atol=1e-4)
    features = loaded.signatures['embedding'](image_bytes=tf.constant(pictures[:3]))['embedding']
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    network = loaded.network(tf.constant(pixels), tf.constant(numbers))
    np.testing.assert_allclose(network['products'], expected, atol=1e-4)
    np.testing.assert_allclose(network['pictures'][0], own, atol=1e-4)
    np.testing.assert_allclose(network['embedding'][:3], features, atol=1e-5)
    card = json.loads((output / 'model_card.json').read_text())
    assert card['preprocessing']['height'], card['preprocessing']['width'] == (HEIGHT, WIDTH)
    named = card['ensemble']['members']
    assert [member['workdir'] for member in named] == list(workdirs.values())
    assert [member['step'] for member in named] == [30, 10, 20]
    np.testing.assert_allclose([member['weight'] for member in named], weights)
    assert named[1]['config']['model']['name'] == 'small_xception'


def test_methods_are_compared_on_products_held_out_of_the_fit(
    folder: str, workdirs, data_folder: str, products
) -> None:
    compared = json.loads((Path(folder) / 'ensemble.json').read_text())['compared']
    assert [one['name'] for one in compared] == [*workdirs.values(), *build.METHODS]
    held = products[::5]
    labels = np.array([product.category.label for product in held])
    each = np.array([_by_member(workdirs, product.pictures) for product in held])  # [N, M, C]
    for one, own in [
        *((compared[i], each[:, i]) for i in range(3)),
        (compared[3], each.mean(axis=1)),
    ]:
        assert one['loss'] == pytest.approx(oracle.log_loss(labels, own, labels=range(4)), rel=1e-3)
        assert one['accuracy'] == pytest.approx((own.argmax(axis=1) == labels).mean())


def test_best_is_the_method_with_the_smallest_loss(
    workdirs, data_folder: str, tmp_path: Path
) -> None:
    ensemble = build.build_ensemble(
        workdirs=[workdirs['cnn'], workdirs['xception']],
        data_folder=data_folder,
        split='validation',
        method='best',
        output=str(tmp_path / 'two'),
    )
    methods = [one for one in ensemble.compared if one.name in build.METHODS]
    assert ensemble.way == min(methods, key=lambda one: one.loss).name
    run = runs.open_run(str(tmp_path / 'two'))
    np.testing.assert_array_equal(run.combination.weights, ensemble.combination.weights)


def test_an_ensemble_can_be_a_teacher(
    folder: str, workdirs, weights: np.ndarray, data_folder: str
) -> None:
    flags = [*SMALL, f'distill.teacher={folder}', f'input.height={HEIGHT}', f'input.width={WIDTH}']
    config = files.load('configs/tiny.py', flags)
    data = open_data_set(data_folder)
    info = data_info(data, config)
    found = restore_teacher(config.distill, config.loss, info=info, data=data)
    images = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    from PIL import Image

    Image.fromarray(images[0]).save(buffer, 'PNG')
    expected = weights @ _by_member(workdirs, [buffer.getvalue()])
    np.testing.assert_allclose(_softmax(found.logits(images))[0], expected, atol=1e-4)


def test_a_member_with_more_training_is_refused(folder: str, tmp_path: Path) -> None:
    document = json.loads((Path(folder) / 'ensemble.json').read_text())
    document['members'][1]['step'] = 7
    (tmp_path / 'ensemble.json').write_text(json.dumps(document))
    with pytest.raises(UserError, match=r'xception: a member must be at step 7, .* got step 10'):
        runs.open_run(str(tmp_path))
    (tmp_path / 'ensemble.json').write_text('{}')
    with pytest.raises(UserError, match=r'must be a file that trainer\.ensemble wrote'):
        runs.open_run(str(tmp_path))


def test_members_that_do_not_match_are_refused(
    workdirs, data_folder: str, make_data_set, tmp_path: Path
) -> None:
    def refused(*members: str, match: str) -> None:
        with pytest.raises(UserError, match=match):
            build.build_ensemble(
                workdirs=members,
                data_folder=data_folder,
                split='validation',
                method='best',
                output=str(tmp_path / 'out'),
            )
        assert not (tmp_path / 'out').exists()

    cnn = workdirs['cnn']
    refused(cnn, match='--workdirs must be two or more different folders')
    refused(cnn, cnn, match='--workdirs must be two or more different folders')
    refused(cnn, str(tmp_path / 'nothing'), match=r'must have a config\.json')
    few = ('total_steps=1', 'model.channels=1')
    other = make_data_set(tmp_path / 'data', counts=(9, 9))
    config = files.load('configs/tiny.py', [*SMALL, *few])
    train(config, open_data_set(other), str(tmp_path / 'tree'))
    refused(cnn, str(tmp_path / 'tree'), match='all members must have the same category tree')
    config = files.load('configs/tiny.py', [*SMALL, *few, 'loss.target_power=0'])
    train(config, open_data_set(data_folder), str(tmp_path / 'prior'))
    refused(cnn, str(tmp_path / 'prior'), match='must predict with one prior')
