"""Test-time augmentation: the mean prediction of an image and its mirror image, at twice the cost.

Simonyan and Zisserman, 2014, arXiv:1409.1556, section 3.2. (The views of a product are always
averaged or fused: see `trainer.inference`.)
"""

from typing import Any

import keras
from keras import ops

from catalog.errors import UserError
from trainer.models.model import takes_products

CHOICES = ('none', 'flip')


class Flip(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Mirrors images left to right: [B, H, W, 3] -> [B, H, W, 3]."""

    def call(self, images: Any) -> Any:
        """Reverses the order of the columns."""
        return ops.flip(images, axis=2)


class LogMean(keras.layers.Layer):  # type: ignore[misc]
    """Computes the log of a mean probability: [logits [B, C], logits [B, C]] -> [B, C]."""

    def call(self, logits: list[Any]) -> Any:
        """Stays in logs, so that a probability that rounds to 0 keeps its logarithm."""
        return ops.logaddexp(*(ops.log_softmax(one) for one in logits)) - ops.log(2.0)


def build_tta_model(model: keras.Model, tta: str) -> keras.Model:
    """Builds the model that predicts with test-time augmentation, of the same layers and weights.

    Args:
      model: A model of images.
      tta: One of `CHOICES`.

    Raises:
      UserError: If the images of a model that fuses views should be flipped.
    """
    if tta == 'none':
        return model
    if takes_products(model):
        raise UserError(f'--tta must be none for a model that fuses views, got {tta}')
    # A model has the name of its backbone, which Keras refuses beside each other.
    again = keras.Model(model.input, model.output, name='test_time_model')
    mirrored = again(Flip(name='test_time_flip')(model.input))
    logits = LogMean(name='test_time_mean')([model.output, mirrored])
    return keras.Model(model.input, logits, name=model.name)
