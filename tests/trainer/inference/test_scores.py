"""Probabilities of pictures and products."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.config import ModelConfig
from trainer.inference import scores
from trainer.inference.predictor import Predictor
from trainer.inference.scores import Scores
from trainer.models.heads import LOGITS

CLASSES = 6
PRODUCTS = [(11, 3), (12, 1), (14, 2), (15, 4), (19, 1), (20, 3)]  # (product_id, pictures)


def _pictures() -> dict[str, np.ndarray]:
    """Returns the pictures of PRODUCTS with random pixels, as `picture_batches` does."""
    random = np.random.default_rng(5)
    count = sum(views for _, views in PRODUCTS)
    product_id = np.repeat(*np.array(PRODUCTS).T)
    return {
        'image': random.integers(0, 256, (count, 8, 8, 3), np.uint8),
        'label': product_id % CLASSES,
        'product_id': product_id,
        'index': np.concatenate([np.arange(views) for _, views in PRODUCTS]),
        'leaked': np.array([0, 1, 0, *[0] * (count - 3)]),
    }


def _batches(pictures: dict[str, np.ndarray], size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(pictures).batch(size)


@pytest.fixture(scope='module')
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    return keras.Model(
        image, keras.layers.Dense(CLASSES, name=LOGITS)(keras.layers.Flatten()(image))
    )


def _probabilities(model: keras.Model, pictures: dict[str, np.ndarray]) -> np.ndarray:
    logits = model(pictures['image'] / np.float32(127.5) - 1).numpy().astype(np.float64)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def _score(model: keras.Model, pictures: dict[str, np.ndarray], *, size: int) -> list[Scores]:
    batches = _batches(pictures, size)
    scored = scores.score_pictures(Predictor(model, ModelConfig()), batches)
    return list(scores.split_at_products(scored))


@pytest.mark.parametrize('size', [1, 2, 3, 5, 14, 100])
def test_a_product_has_the_mean_of_its_pictures_for_any_batch_size(
    model: keras.Model, size: int
) -> None:
    pictures = _pictures()
    expected = _probabilities(model, pictures)

    products = [scores.average_views(piece) for piece in _score(model, pictures, size=size)]

    actual = {
        int(product_id): (probabilities, log_probability, bool(leaked))
        for piece in products
        for product_id, probabilities, log_probability, leaked in zip(
            piece.product_id,
            piece.probabilities,
            piece.label_log_probability,
            piece.leaked,
            strict=True,
        )
    }
    assert sum(len(piece) for piece in products) == len(PRODUCTS)
    for product_id, _ in PRODUCTS:
        mean = expected[pictures['product_id'] == product_id].mean(axis=0)
        probabilities, log_probability, leaked = actual[product_id]
        np.testing.assert_allclose(probabilities, mean, atol=1e-6)
        assert log_probability == pytest.approx(np.log(mean[product_id % CLASSES]), abs=1e-5)
        assert leaked == (product_id == 11)


def test_every_picture_is_scored_once_and_no_product_is_split(model: keras.Model) -> None:
    pieces = _score(model, _pictures(), size=4)
    ids = [piece.product_id for piece in pieces]
    np.testing.assert_array_equal(np.concatenate(ids), _pictures()['product_id'])
    assert sum(len(set(piece.tolist())) for piece in ids) == len(PRODUCTS)


def test_two_copies_of_a_product_in_a_row_are_two_products(model: keras.Model) -> None:
    pictures = _pictures()
    twice = {name: np.concatenate([rows[:3], rows[:3]]) for name, rows in pictures.items()}
    pieces = [scores.average_views(piece) for piece in _score(model, twice, size=4)]
    assert np.concatenate([piece.product_id for piece in pieces]).tolist() == [11, 11]


def test_a_probability_that_rounds_to_0_keeps_its_loss(model: keras.Model) -> None:
    confident = keras.models.clone_model(model)
    confident.layers[-1].set_weights([np.zeros((192, CLASSES)), np.array([500, 0, 0, 0, 0, 0])])
    pictures = {name: rows[:3] for name, rows in _pictures().items()}  # label 5

    (piece,) = _score(confident, pictures, size=8)

    assert scores.average_views(piece).probabilities[0, 5] == 0
    assert scores.average_views(piece).label_log_probability[0] == pytest.approx(-500)


def test_classes_are_sorted_by_probability_then_by_label(model: keras.Model) -> None:
    pictures = {name: rows[:1] for name, rows in _pictures().items()}
    (piece,) = _score(model, pictures, size=1)
    piece.probabilities[:] = [0.1, 0.3, 0.1, 0.3, 0.15, 0.05]

    best = scores.top_predictions(piece, top_k=4)

    assert best.predicted.tolist() == [[1, 3, 4, 0]]
    np.testing.assert_allclose(best.confidence, [[0.3, 0.3, 0.15, 0.1]], atol=1e-7)
    np.testing.assert_array_equal(best.probability, best.confidence)
    assert scores.top_predictions(piece, top_k=50).predicted.shape == (1, CLASSES)


@pytest.mark.parametrize('temperature', [0.5, 3.0])
def test_the_confidence_is_the_calibrated_probability(
    model: keras.Model, temperature: float
) -> None:
    piece, _ = _score(model, _pictures(), size=100)
    best = scores.top_predictions(piece, top_k=CLASSES, temperature=temperature)
    powers = piece.probabilities.astype(np.float64) ** (1 / temperature)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        best.confidence, np.take_along_axis(expected, best.predicted, axis=1), atol=1e-6
    )
    np.testing.assert_array_equal(best.predicted, np.argsort(-piece.probabilities, kind='stable'))
