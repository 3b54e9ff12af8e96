"""From the backbone's map to the features that the last layer takes.

From features to logits: the last layer of every model, in one of three kinds.

Heads for the parents of a leaf, beside the last layer: trained with it, left out of what is
evaluated and exported.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from trainer.config.model import ModelConfig


class GeneralizedMean(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """`mean(x ** p) ** (1 / p)` over the map, with a learned p: [B, H, W, C] -> [B, C].

    Radenovic, Tolias and Chum, 2018, arXiv:1711.02512: p = 1 is the mean, p towards infinity the
    maximum; they begin at 3. What is below `floor` counts as `floor`. Computes in float32, because
    cubes overflow float16.
    """

    def __init__(self, *, power: float = 3.0, floor: float = 1e-6, **options: Any) -> None:
        super().__init__(dtype='float32', **options)
        self._first_power, self._floor = power, floor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """One power for all channels, as in the paper's experiments."""
        first = keras.initializers.Constant(self._first_power)
        self.power = self.add_weight(name='power', shape=(), initializer=first)

    def call(self, x: Any) -> Any:
        """[B, H, W, C] -> [B, C]."""
        powers = ops.maximum(x, self._floor) ** self.power
        return ops.mean(powers, axis=(1, 2)) ** (1 / self.power)


def features(x: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    """The head of a config: a map [B, H, W, C] -> [B, d]."""
    if config.head_norm:
        x = layers.BatchNormalization(name='head_norm')(x)
    if config.head_channels:
        x = layers.Conv2D(config.head_channels, 1, name='head_conv')(x)
        x = layers.BatchNormalization(name='head_conv_norm')(x)
    x = _pooling(config.pooling)(x)
    return layers.Dropout(config.dropout, name='head_dropout')(x)


def _pooling(name: str) -> layers.Layer:
    match name:
        case 'average':
            return layers.GlobalAveragePooling2D(name='head_pooling')
        case 'max':
            return layers.GlobalMaxPooling2D(name='head_pooling')
        case 'gem':
            return GeneralizedMean(name='head_pooling')
        case 'flatten':
            return layers.Flatten(name='head_pooling')
        case _:
            raise ValueError(f'model.pooling must be average, max, gem or flatten, got {name!r}')


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


_PREFIX = 'level_head_'


def beside(model: keras.Model, sizes: Sequence[int]) -> keras.Model:
    """The model with a head for each level, of so many nodes, on the features of its last layer.

    Returns:
      a model of the same layers and weights, to [logits [B, C], and [B, K] for each level].
    """
    features = model.get_layer(LOGITS).input
    heads = [
        keras.layers.Dense(size, name=f'{_PREFIX}{level}')(features)
        for level, size in enumerate(sizes, start=1)
    ]
    return keras.Model(model.inputs, [model.output, *heads], name=f'{model.name}_levels')


def layers_of(network: keras.Model) -> list[keras.layers.Layer]:
    """The heads of a model from `beside`; of any other, none."""
    return [layer for layer in network.layers if layer.name.startswith(_PREFIX)]
