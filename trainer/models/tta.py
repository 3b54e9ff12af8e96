"""Test-time augmentation: a picture and its mirror image, asked together. Twice the work.

Simonyan and Zisserman, 2014, arXiv:1409.1556, section 3.2. (The views of a product are always asked
together: `predictions`.)
"""

from typing import Any

import keras
from keras import ops

from catalog.errors import UserError
from trainer.models import model as models

CHOICES = ('none', 'flip')


class Flip(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Mirrors pictures left to right: [B, H, W, 3] -> [B, H, W, 3]."""

    def call(self, images: Any) -> Any:
        """The columns from the last to the first."""
        return ops.flip(images, axis=2)


class LogMean(keras.layers.Layer):  # type: ignore[misc]
    """Logits of the mean of probabilities: [logits [B, C], logits [B, C]] -> [B, C]."""

    def call(self, logits: list[Any]) -> Any:
        """The log of the mean, from logs: a probability that rounds to 0 keeps its log."""
        return ops.logaddexp(*(ops.log_softmax(one) for one in logits)) - ops.log(2.0)


def augmented(model: keras.Model, tta: str) -> keras.Model:
    """The model that answers as `tta` says, of the same weights and layers.

    Raises:
      UserError: if a model that fuses the views of products should flip them.
    """
    if tta == 'none':
        return model
    if models.takes_products(model):
        raise UserError(f'--tta must be none for a model that fuses views, got {tta}')
    mirrored = model(Flip(name='test_time_flip')(model.input))
    logits = LogMean(name='test_time_mean')([model.output, mirrored])
    return keras.Model(model.input, logits, name=model.name)
