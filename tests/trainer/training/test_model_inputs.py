"""From a batch to the inputs of the network."""

import numpy as np
import tensorflow as tf

from trainer.config import FusionConfig, InputConfig, ModelConfig, TrainConfig
from trainer.training.model_inputs import model_inputs


def _config() -> TrainConfig:
    return TrainConfig(
        batch_size=2,
        total_steps=1,
        input=InputConfig(height=8, width=8),
        model=ModelConfig(fusion=FusionConfig(name='mean', max_views=3)),
    )


def test_the_network_gets_the_real_views_each_flipped_by_its_own_draw() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3)).astype(np.uint8)
    mask = np.array([[True, True, False], [True, False, False]])
    draws = tf.constant([[[0.1], [0.9], [0.1]], [[0.2], [0.9], [0.9]]])
    batch = {'image': tf.constant(images), 'mask': tf.constant(mask), 'label': tf.constant([4, 7])}
    inputs = model_inputs(_config())
    augmented = inputs.augmented(batch, draws)
    views, labels = inputs.mixed(augmented, draws)
    actual, kept = inputs.network_inputs(views, augmented)
    expected = np.stack([images[0, 0, :, ::-1], images[0, 1], images[1, 0, :, ::-1]])
    np.testing.assert_allclose(actual, expected / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(kept, mask)
    assert labels.own.numpy().tolist() == [4, 7]


def test_each_view_of_each_product_has_its_own_draw() -> None:
    draws = model_inputs(_config()).draw(50, seed=tf.constant([1, 2]))
    assert draws.shape[:2] == (50, 3)
    assert len(np.unique(draws)) == 150
