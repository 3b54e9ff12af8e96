"""From the backbone's map to the features that the last layer takes."""

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
