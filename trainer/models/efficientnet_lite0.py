"""EfficientNet-Lite0, which keras.applications lacks."""

import keras
from keras import layers

_STAGES = [  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]
_NUM_BLOCKS = 16
_DROP_CONNECT = 0.2  # rate after the last block; it grows linearly from 0


def efficientnet_lite0(*, input_shape: tuple[int, int, int]) -> keras.Model:
    """Builds EfficientNet-Lite0 without top: [B, H, W, 3] -> [B, H/32, W/32, 1280].

    Liu, 2020, after Tan and Le, 2019, arXiv:1905.11946: EfficientNet-B0 without
    squeeze-and-excitation, with ReLU6; 3.4 million parameters. `trainer.lite0_weights` finds the
    layers by name.
    """
    image = keras.Input(input_shape)
    x = _convolved(image, 32, kernel=3, strides=2, name='conv_stem')
    block = 0
    for blocks, kernel, stride, expansion, channels in _STAGES:
        for place in range(blocks):
            strides = stride if place == 0 else 1
            x = _block(
                x, channels, kernel=kernel, strides=strides, expansion=expansion, number=block
            )
            block += 1
    x = _convolved(x, 1280, kernel=1, strides=1, name='conv_head')
    return keras.Model(image, x, name='efficientnet_lite0')


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
    number: int,
) -> keras.KerasTensor:
    """Builds an inverted residual block."""
    before, name = inputs.shape[-1], f'block{number}'
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
    rate = _DROP_CONNECT * number / _NUM_BLOCKS
    x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f'{name}_drop')(x)
    return layers.Add(name=f'{name}_add')([x, inputs])
