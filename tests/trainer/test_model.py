import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import ModelConfig
from trainer.model import build_model, feature_model


def test_a_small_model_gives_a_logit_for_each_class() -> None:
    model = build_model(ModelConfig(channels=4), num_classes=5, input_shape=(28, 28, 3))
    logits = model(tf.zeros([2, 28, 28, 3]))
    assert logits.shape == (2, 5)
    assert logits.dtype == tf.float32


def test_features_are_what_the_last_layer_takes() -> None:
    model = build_model(ModelConfig(channels=4), num_classes=5, input_shape=(16, 16, 3))
    images = tf.random.stateless_normal([3, 16, 16, 3], [1, 2])
    features = feature_model(model)(images)
    assert features.shape == (3, 16)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(images), features @ kernel + bias, atol=1e-6)


def test_inception_v3_has_the_parameters_of_the_thesis() -> None:
    model = build_model(
        ModelConfig(name='inception_v3'), num_classes=5270, input_shape=(180, 180, 3)
    )
    assert model.count_params() == 66_039_222
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == 65_999_670
    assert model.output_shape == (None, 5270)
    assert feature_model(model).output_shape == (None, 8192)


def test_weights_that_are_not_there_are_refused() -> None:
    config = ModelConfig(name='inception_v3', weights='absent.h5')
    with pytest.raises(UserError, match=r"model\.weights must be .* got 'absent\.h5'"):
        build_model(config, num_classes=3, input_shape=(75, 75, 3))
