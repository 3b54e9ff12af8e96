"""EfficientNet-Lite0, Lite1 and Lite2, which keras.applications lacks."""

import math
from collections.abc import Iterator

import keras
from keras import layers

_SCALES = {  # of channels and of the blocks in a stage
    'efficientnet_lite0': (1.0, 1.0),
    'efficientnet_lite1': (1.0, 1.1),
    'efficientnet_lite2': (1.1, 1.2),
}
_STAGES = [  # of Lite0: blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]
_CHANNEL_UNIT = 8  # channels are multiples of it
_DROP_CONNECT = 0.2  # rate after the last block; it grows linearly from 0


def efficientnet_lite(name: str, *, input_shape: tuple[int, int, int]) -> keras.Model:
    """Builds EfficientNet-Lite0, 1 or 2 without top: [B, H, W, 3] -> [B, H/32, W/32, 1280].

    Liu, 2020, after Tan and Le, 2019, arXiv:1905.11946: EfficientNet-B0 to B2 without
    squeeze-and-excitation, with ReLU6, stem and head not scaled; 3.4, 4.1 and 4.8 million
    parameters. `trainer.lite_weights` finds the layers by name.
    """
    image = keras.Input(input_shape)
    x = _convolved(image, 32, kernel=3, strides=2, name='conv_stem')
    blocks = list(_blocks(name))
    for number, (channels, kernel, strides, expansion) in enumerate(blocks):
        x = _block(
            x,
            channels,
            kernel=kernel,
            strides=strides,
            expansion=expansion,
            drop=_DROP_CONNECT * number / len(blocks),
            name=f'block{number}',
        )
    x = _convolved(x, 1280, kernel=1, strides=1, name='conv_head')
    return keras.Model(image, x, name=name)


def _blocks(name: str) -> Iterator[tuple[int, int, int, int]]:
    """Yields channels, kernel, stride and expansion of each block."""
    width, depth = _SCALES[name]
    for stage, (blocks, kernel, stride, expansion, channels) in enumerate(_STAGES):
        is_outer = stage in (0, len(_STAGES) - 1)  # as stem and head: its depth is not scaled
        for place in range(blocks if is_outer else math.ceil(depth * blocks)):
            yield _scaled(channels, width), kernel, stride if place == 0 else 1, expansion


def _scaled(channels: int, width: float) -> int:
    """Returns scaled channels, rounded to a multiple of 8 by at most a tenth downwards."""
    wanted = channels * width
    rounded = max(_CHANNEL_UNIT, int(wanted + _CHANNEL_UNIT / 2) // _CHANNEL_UNIT * _CHANNEL_UNIT)
    return rounded if rounded >= 0.9 * wanted else rounded + _CHANNEL_UNIT


def _convolved(
    x: keras.KerasTensor, channels: int, *, kernel: int, strides: int, name: str
) -> keras.KerasTensor:
    convolution = layers.Conv2D(
        channels, kernel, strides=strides, padding='same', use_bias=False, name=name
    )
    return _relu6(_normalized(convolution(x), name=name), name=name)


def _normalized(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f'{name}_norm')(x)


def _relu6(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f'{name}_relu')(x)


def _block(
    inputs: keras.KerasTensor,
    channels: int,
    *,
    kernel: int,
    strides: int,
    expansion: int,
    drop: float,
    name: str,
) -> keras.KerasTensor:
    """Builds an inverted residual block; `drop` is the rate of dropped residuals."""
    before = inputs.shape[-1]
    x = inputs
    if expansion > 1:
        wide = before * expansion
        x = _convolved(x, wide, kernel=1, strides=1, name=f'{name}_expand')
    depthwise = layers.DepthwiseConv2D(
        kernel, strides=strides, padding='same', use_bias=False, name=f'{name}_depthwise'
    )
    x = _relu6(_normalized(depthwise(x), name=f'{name}_depthwise'), name=f'{name}_depthwise')
    project = layers.Conv2D(channels, 1, use_bias=False, name=f'{name}_project')
    x = _normalized(project(x), name=f'{name}_project')
    if strides > 1 or before != channels:
        return x
    x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f'{name}_drop')(x)
    return layers.Add(name=f'{name}_add')([x, inputs])
