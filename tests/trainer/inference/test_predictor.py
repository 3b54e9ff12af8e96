"""One forward path: evaluation, validation, feature caches and exports predict the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from catalog.formats import tfrecord
from tests.trainer import fused
from trainer.config import TrainConfig
from trainer.data.batches import evaluation_batches, picture_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.export import saved_model
from trainer.features.cache import write_cache
from trainer.inference.runs import open_run, restore_member
from trainer.inference.scores import Scores
from trainer.inference.split_scores import score_split
from trainer.models.heads import LOGITS
from trainer.models.model import head_model
from trainer.training.model_inputs import model_inputs
from trainer.training.validation import compile_forward

CLASSES = 9
RUNS = {'plain': (), 'fused': ('model.fusion.name=gated', 'model.fusion.max_views=2')}


@pytest.fixture(scope='module')
def data(make_data_set: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Pictures that are larger than the images of the models."""
    folder = tmp_path_factory.mktemp('data') / 'shards'
    counts = [4] * CLASSES
    return open_data_set(make_data_set(folder, counts=counts, validation_counts=counts, size=17))


@pytest.fixture(scope='module')
def workdirs(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run on pictures and a run that fuses views, by name."""
    folder = tmp_path_factory.mktemp('runs')
    for name, flags in RUNS.items():
        small = ('total_steps=30', 'batch_size=6', 'step.ema_decay=0.5')
        fused.run(data.folder, folder / name, *flags, *small)
    return {name: str(folder / name) for name in RUNS}


def _scores(workdir: str, data: DataSet, tta: str = 'none') -> tuple[Scores, Scores]:
    """Returns the scores of the pictures and of the products, as an evaluation computes them."""
    parts = list(score_split(open_run(workdir, tta=tta), data, 'validation'))
    pictures, products = zip(*((part.pictures, part.products) for part in parts), strict=True)
    return _concatenate(pictures), _concatenate(products)


def _concatenate(parts: tuple[Scores, ...]) -> Scores:
    return Scores(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}
    )


@pytest.mark.parametrize('name', RUNS)
def test_validation_predicts_like_an_evaluation(
    name: str, data: DataSet, workdirs: dict[str, str]
) -> None:
    member, _ = restore_member(workdirs[name])
    batches = evaluation_batches(data, 'validation', batch_spec(member.config))
    forward = compile_forward(
        member.predictor(),
        model_inputs(member.config),
        tf.distribute.OneDeviceStrategy('cpu:0'),
        batch_size=member.config.batch_size,
        num_workers=1,
    )
    actual = np.concatenate([special.softmax(forward(batch), axis=1) for batch in batches])
    pictures, products = _scores(workdirs[name], data)
    expected = products if name == 'fused' else pictures
    np.testing.assert_allclose(actual, expected.probabilities, atol=1e-6)


@pytest.mark.parametrize('name', RUNS)
def test_a_feature_cache_has_the_features_of_an_evaluation(
    name: str, data: DataSet, workdirs: dict[str, str], tmp_path: Path
) -> None:
    member, _ = restore_member(workdirs[name])
    write_cache(member, data, output=str(tmp_path))
    images = np.concatenate(_decoded_pictures(data, member.config))
    features = member.predictor().features(tf.constant(images)).numpy()
    np.testing.assert_allclose(
        _cached_features(tmp_path), features, rtol=2e-3, atol=1e-6
    )  # float16
    if name == 'fused':
        logits = head_model(member.model)([features, np.ones([len(features), 1], bool)])
    else:
        logits = member.model.get_layer(LOGITS)(features)
    pictures, _ = _scores(workdirs[name], data)
    np.testing.assert_allclose(special.softmax(logits, axis=1), pictures.probabilities, atol=1e-6)


def _cached_features(folder: Path) -> np.ndarray:
    views = []
    for path in open_data_set(str(folder)).paths('validation'):
        with open(path, 'rb') as file:
            for data in tfrecord.read(file):
                feature = tf.train.Example.FromString(data).features.feature['image/features']
                views += [np.frombuffer(view, '<f2') for view in feature.bytes_list.value]
    return np.stack(views)


def _decoded_pictures(data: DataSet, config: TrainConfig) -> list[np.ndarray]:
    batches = picture_batches(data, 'validation', config.input, batch_size=config.batch_size)
    return [batch['image'].numpy() for batch in batches]


@pytest.mark.parametrize(('name', 'tta'), [('plain', 'none'), ('plain', 'flip'), ('fused', 'none')])
def test_an_exported_model_predicts_like_an_evaluation(
    name: str, tta: str, data: DataSet, workdirs: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / 'model' / '1'
    saved_model.export(
        workdir=workdirs[name], output=str(output), top_k=CLASSES, threshold=0.5, tta=tta
    )
    loaded: Any = tf.saved_model.load(str(output))
    signatures = loaded.signatures
    records = fused.products(data.folder)
    encoded = tf.constant([picture for product in records for picture in product.pictures])
    product = np.repeat(np.arange(len(records)), [len(one.pictures) for one in records])
    pictures, products = _scores(workdirs[name], data, tta)
    np.testing.assert_array_equal(products.product_id, [one.product_id for one in records])
    by_picture = signatures['serving_default'](image_bytes=encoded)
    by_product = signatures['product'](image_bytes=encoded, product=tf.constant(product))
    np.testing.assert_allclose(_by_label(by_picture), pictures.probabilities, atol=1e-6)
    np.testing.assert_allclose(_by_label(by_product), products.probabilities, atol=1e-6)
    images = loaded.decode(encoded)
    by_pixels = signatures['pixels'](images=images)
    np.testing.assert_allclose(_by_label(by_pixels), pictures.probabilities, atol=1e-6)
    embedding = signatures['embedding'](image_bytes=encoded)['embedding']
    np.testing.assert_allclose(by_pixels['embedding'], embedding, atol=1e-6)
    network = loaded.network(images, tf.constant(product))
    np.testing.assert_allclose(network['pictures'], pictures.probabilities, atol=1e-6)
    np.testing.assert_allclose(network['products'], products.probabilities, atol=1e-6)


def _by_label(outputs: dict[str, tf.Tensor]) -> np.ndarray:
    """Returns the confidences in order of the labels: [N, C]."""
    order = np.argsort(outputs['label'].numpy(), axis=1)
    return np.take_along_axis(outputs['confidence'].numpy(), order, axis=1)
