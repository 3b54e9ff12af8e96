"""The fusion of a product's views, against the formulas of the papers in numpy."""

import keras
import numpy as np
import pytest

from trainer.config import FusionConfig, ModelConfig
from trainer.models.model import build_model, feature_model, head_model

NAMES = ['mean', 'max', 'gated', 'mlp']
MASK = np.array([[True, True, False, False], [True] * 4, [True, False, False, False]])
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(7, 16, 16, 3)).astype(np.float32)  # the real views of the three products


def _model(name: str, *, dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(5)
    config = ModelConfig(channels=4, dropout=dropout, fusion=FusionConfig(name=name, units=6))
    return build_model(config, num_classes=5, input_shape=(16, 16, 3))


def _placed(real: np.ndarray, *, masked: float) -> np.ndarray:
    """Returns all places, [3 * 4, …]: the real views, and `masked` elsewhere."""
    places = np.full([MASK.size, *real.shape[1:]], masked, np.float32)
    places[MASK.ravel()] = real
    return places


def _fused(name: str, features: list[np.ndarray], model: keras.Model) -> np.ndarray:
    """Computes the features of the products from those of their views, [v, d], by the formulas."""

    def kernel(layer: str) -> np.ndarray:
        return model.get_layer(layer).kernel.numpy()

    def relu(x: np.ndarray, layer: str) -> np.ndarray:
        return np.maximum(x @ kernel(layer) + model.get_layer(layer).bias.numpy(), 0)

    def attention(h: np.ndarray) -> np.ndarray:
        gate = 1 / (1 + np.exp(-h @ kernel('fusion_gate')))
        scores = (np.tanh(h @ kernel('fusion_tanh')) * gate) @ kernel('fusion_score')  # [v, 1]
        return (np.exp(scores) / np.exp(scores).sum() * h).sum(axis=0)

    match name:
        case 'mean':
            return np.stack([h.mean(axis=0) for h in features])
        case 'max':
            return np.stack([h.max(axis=0) for h in features])
        case 'gated':
            return np.stack([attention(h) for h in features])
        case _:
            means = np.stack([relu(h, 'fusion_view').mean(axis=0) for h in features])
            return relu(means, 'fusion_product')


@pytest.mark.parametrize('name', NAMES)
def test_the_fused_features_equal_the_formula(name: str) -> None:
    model = _model(name)
    features = feature_model(model)(IMAGES).numpy()
    by_product = np.split(features, np.cumsum(MASK.sum(axis=1))[:-1])
    last = model.get_layer('logits')
    expected = _fused(name, by_product, model) @ last.kernel.numpy() + last.bias.numpy()
    found = model([keras.ops.array(IMAGES), keras.ops.array(MASK)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('masked', [0.0, 1e4, -1e4])
def test_the_values_at_masked_places_do_not_matter(name: str, masked: float) -> None:
    model = _model(name)
    expected = model([keras.ops.array(IMAGES), keras.ops.array(MASK)])
    places = _placed(IMAGES, masked=masked)
    found = model([keras.ops.array(places), keras.ops.array(MASK)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_the_order_of_the_views_does_not_matter(name: str) -> None:
    model = _model(name)
    mask = keras.ops.ones([1, 7], bool)
    expected = model([keras.ops.array(IMAGES), mask])
    found = model([keras.ops.array(IMAGES[[3, 0, 6, 1, 5, 2, 4]]), mask])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_a_repeated_view_counts_once(name: str) -> None:
    model = _model(name)
    once = model([keras.ops.array(IMAGES[:1]), keras.ops.ones([1, 1], bool)])
    twice = model([keras.ops.array(IMAGES[[0, 0]]), keras.ops.ones([1, 2], bool)])
    np.testing.assert_allclose(twice, once, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_the_feature_model_and_the_head_model_compose_to_the_model(name: str) -> None:
    model = _model(name, dropout=0.3)
    features = feature_model(model)(IMAGES)
    found = head_model(model)([features, keras.ops.array(MASK)])
    expected = model([keras.ops.array(IMAGES), keras.ops.array(MASK)])
    np.testing.assert_array_equal(found, expected)
    assert features.shape == (7, 16)


def test_parameter_groups_can_match_each_layer_of_the_attention() -> None:
    names = {layer.name for layer in _model('gated').layers}
    assert {'views', 'fusion_tanh', 'fusion_gate', 'fusion_score', 'logits'} <= names
