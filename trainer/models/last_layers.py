"""From features to logits: the last layer of every model, in one of three kinds."""

from typing import Any

import keras
from keras import layers, ops

from trainer.config.model import ModelConfig

LOGITS = 'logits'  # its name


class Cosine(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """`scale * cos(features, weights of the class)`: [B, d] -> [B, C].

    Of LDAM (Cao et al., 2019, arXiv:1906.07413, section 5), whose margins need weights of one
    length. Computes in float32: float16 holds no square of a small weight.
    """

    def __init__(self, num_classes: int, *, scale: float, **options: Any) -> None:
        super().__init__(dtype='float32', **options)
        self._num_classes, self._scale = num_classes, scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """A direction for each class."""
        shape = (input_shape[-1], self._num_classes)
        self.kernel = self.add_weight(name='kernel', shape=shape, initializer='glorot_uniform')

    def call(self, features: Any) -> Any:
        """[B, d] -> [B, C]."""
        return self._scale * ops.matmul(_unit(features, axis=-1), _unit(self.kernel, axis=0))


def _unit(x: Any, *, axis: int) -> Any:
    """Of length 1 along an axis; what has no length stays so, and has a slope."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, 1e-12))


class Scaled(layers.Layer):  # type: ignore[misc]
    """A dense layer with a scale for each class, `scale * (x W) + b`: [B, d] -> [B, C].

    Learnable weight scaling (Kang et al., 2019, arXiv:1910.09217, section 4.2): the scales are
    learned last, on classes seen equally often, everything else stands still.
    """

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self._num_classes = num_classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """The weights of a dense layer, under its names, and scales of 1."""
        classes = (self._num_classes,)
        shape = (input_shape[-1], *classes)
        self.kernel = self.add_weight(name='kernel', shape=shape, initializer='glorot_uniform')
        self.bias = self.add_weight(name='bias', shape=classes, initializer='zeros')
        self.scale = self.add_weight(name='scale', shape=classes, initializer='ones')

    def call(self, features: Any) -> Any:
        """[B, d] -> [B, C]."""
        return self.scale * ops.matmul(features, self.kernel) + self.bias


def logits(features: keras.KerasTensor, config: ModelConfig, *, num_classes: int) -> Any:
    """The logits of a config's last layer: [B, d] -> [B, C]."""
    match config.last_layer:
        case 'dense':
            layer = layers.Dense(num_classes, name=LOGITS)
        case 'cosine':
            layer = Cosine(num_classes, scale=config.cosine_scale, name=LOGITS)
        case 'scaled':
            layer = Scaled(num_classes, name=LOGITS)
        case name:
            raise ValueError(f'model.last_layer must be dense, cosine or scaled, got {name!r}')
    return layer(features)
