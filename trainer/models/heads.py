"""What follows the backbone: the pooled features, the last layer, the heads of the levels.

`features` turns the backbone's feature map into the features, `logits` turns the features into
logits. `add_level_heads` adds heads for the parents of the leaves; they are trained with the last
layer, and are no part of the model that is evaluated and exported.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from trainer.config.model import ModelConfig
from trainer.models.batch_norm import Norm

LOGITS = 'logits'  # name of the last layer
_LEVEL_HEAD = 'level_head_'  # prefix of the names of the level heads


class GeneralizedMean(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Pools by `mean(x ** p) ** (1 / p)` over the map, with a learned p: [B, H, W, C] -> [B, C].

    Radenovic, Tolias and Chum, 2018, arXiv:1711.02512: p = 1 is the mean, p towards infinity the
    maximum; p starts at 3. Values below `floor` count as `floor`. Computes in float32, because
    cubes overflow float16.
    """

    def __init__(self, *, power: float = 3.0, floor: float = 1e-6, **options: Any) -> None:
        super().__init__(dtype='float32', **options)
        self._initial_power, self._floor = power, floor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates one power for all channels, as in the paper's experiments."""
        initializer = keras.initializers.Constant(self._initial_power)
        self.power = self.add_weight(name='power', shape=(), initializer=initializer)

    def call(self, x: Any) -> Any:
        """Pools: [B, H, W, C] -> [B, C]."""
        powers = ops.maximum(x, self._floor) ** self.power
        return ops.mean(powers, axis=(1, 2)) ** (1 / self.power)


class Cosine(layers.Layer):  # type: ignore[misc]
    """A last layer of `scale * cos(features, weights of the class)`: [B, d] -> [B, C].

    For LDAM (Cao et al., 2019, arXiv:1906.07413, section 5), whose margins need weights of equal
    length. Computes in float32, because the square of a small weight underflows float16.
    """

    def __init__(self, num_classes: int, *, scale: float, **options: Any) -> None:
        super().__init__(dtype='float32', **options)
        self._num_classes, self._scale = num_classes, scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates a direction for each class."""
        shape = (input_shape[-1], self._num_classes)
        self.kernel = self.add_weight(name='kernel', shape=shape, initializer='glorot_uniform')

    def call(self, features: Any) -> Any:
        """Computes logits: [B, d] -> [B, C]."""
        return self._scale * ops.matmul(_normalized(features, axis=-1), _normalized(self.kernel, 0))


def _normalized(x: Any, axis: int) -> Any:
    """Scales vectors to length 1 along an axis; a zero vector stays zero and has a gradient."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, 1e-12))


class Scaled(layers.Layer):  # type: ignore[misc]
    """A dense last layer with a scale for each class, `scale * (x W) + b`: [B, d] -> [B, C].

    Learnable weight scaling (Kang et al., 2019, arXiv:1910.09217, section 4.2): a second stage
    trains the scales alone, on classes sampled equally often.
    """

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self._num_classes = num_classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights of a dense layer, under the same names, and scales of 1."""
        classes = (self._num_classes,)
        shape = (input_shape[-1], *classes)
        self.kernel = self.add_weight(name='kernel', shape=shape, initializer='glorot_uniform')
        self.bias = self.add_weight(name='bias', shape=classes, initializer='zeros')
        self.scale = self.add_weight(name='scale', shape=classes, initializer='ones')

    def call(self, features: Any) -> Any:
        """Computes logits: [B, d] -> [B, C]."""
        return self.scale * ops.matmul(features, self.kernel) + self.bias


def features(
    x: keras.KerasTensor, config: ModelConfig, *, norm: Norm = layers.BatchNormalization
) -> keras.KerasTensor:
    """Builds the layers from the backbone's map to the features: [B, H, W, C] -> [B, d]."""
    if config.head_norm:
        x = norm(name='head_norm')(x)
    if config.head_channels:
        x = layers.Conv2D(config.head_channels, 1, name='head_conv')(x)
        x = norm(name='head_conv_norm')(x)
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


def logits(features: keras.KerasTensor, config: ModelConfig, *, num_classes: int) -> Any:
    """Builds the last layer: [B, d] -> [B, C]."""
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


def add_level_heads(model: keras.Model, sizes: Sequence[int]) -> keras.Model:
    """Builds a model of the same layers with a dense head for each level above the leaves.

    Args:
      model: The model; the heads take the features that its last layer takes.
      sizes: Number of nodes of each level.

    Returns:
      A model that shares all weights, with the outputs [logits [B, C], level logits [B, K], …].
    """
    features = model.get_layer(LOGITS).input
    heads = [
        layers.Dense(size, name=f'{_LEVEL_HEAD}{level}')(features)
        for level, size in enumerate(sizes, start=1)
    ]
    return keras.Model(model.inputs, [model.output, *heads], name=f'{model.name}_levels')


def level_of_rows(path: str) -> int | None:
    """Returns the level of the tree whose nodes are the last axis of a weight.

    Args:
      path: Path of the weight, see `weights`.

    Returns:
      0 for the last layer, whose rows are the leaves; from 1 for a head of a level; None for a
      weight without rows of nodes.
    """
    layer = path.split('/')[0]
    if layer == LOGITS:
        return 0
    match = re.fullmatch(rf'{_LEVEL_HEAD}(\d+)', layer)
    return int(match[1]) if match else None


def level_head_layers(network: keras.Model) -> list[layers.Layer]:
    """Returns the layers that `add_level_heads` added; an empty list for other models."""
    return [layer for layer in network.layers if layer.name.startswith(_LEVEL_HEAD)]
