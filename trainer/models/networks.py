"""Networks that are trained from random weights: pictures to a map of features.

EfficientNet-Lite0 (Liu, 2020; after Tan and Le, 2019, arXiv:1905.11946), which Keras lacks.

B0 without squeeze-and-excitation, with ReLU6, and a stem and a head that do not grow: 3.4 million
parameters. `lite0_weights` finds the layers by their names.
"""

import keras
from keras import layers


def small_cnn(image: keras.KerasTensor, *, channels: int) -> keras.KerasTensor:
    """Three stages of convolution, each at half the size and twice the channels of the last:
    [B, H, W, 3] -> [B, H/8, W/8, 4 * channels].
    """
    x = image
    for stage in range(3):
        x = layers.Conv2D(channels << stage, 3, padding='same', use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    return x


def small_resnet(image: keras.KerasTensor, *, channels: int) -> keras.KerasTensor:
    """ResNet-9, the residual network for small pictures that learns fast (Page, "How to Train Your
    ResNet", 2018): [B, H, W, 3] -> [B, H/8, W/8, 8 * channels].

    Pooling comes before batch norm, which then costs a quarter.
    """
    x = _conv_norm(image, channels)
    x = _residual(_conv_norm(x, 2 * channels, pool=True))
    x = _conv_norm(x, 4 * channels, pool=True)
    return _residual(_conv_norm(x, 8 * channels, pool=True))


def _residual(x: keras.KerasTensor) -> keras.KerasTensor:
    channels = x.shape[-1]
    return layers.Add()([x, _conv_norm(_conv_norm(x, channels), channels)])


def _conv_norm(x: keras.KerasTensor, channels: int, *, pool: bool = False) -> keras.KerasTensor:
    x = layers.Conv2D(channels, 3, padding='same', use_bias=False)(x)
    if pool:
        x = layers.MaxPooling2D(2)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def small_xception(image: keras.KerasTensor) -> keras.KerasTensor:
    """[B, H, W, 3] -> [B, H/32, W/32, 1024].

    The entry flow of Xception (Chollet, 2017, arXiv:1610.02357) as Keras's example "Image
    classification from scratch" (2020) has it, which the thesis trained.
    """
    x = _norm_relu(layers.Conv2D(32, 3, strides=2, padding='same')(image))
    x = _norm_relu(layers.Conv2D(64, 3, padding='same')(x))
    for channels in (128, 256, 512, 728):
        shortcut = layers.Conv2D(channels, 1, strides=2, padding='same')(x)
        x = layers.ReLU()(x)
        x = _norm_relu(layers.SeparableConv2D(channels, 3, padding='same')(x))
        x = layers.SeparableConv2D(channels, 3, padding='same')(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding='same')(x)
        x = layers.Add()([x, shortcut])
    return _norm_relu(layers.SeparableConv2D(1024, 3, padding='same')(x))


def _norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(layers.BatchNormalization()(x))


_STAGES = [  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]
_NUM_BLOCKS = 16
_DROP_CONNECT = 0.2  # of the last block; the first has none


def efficientnet_lite0(*, input_shape: tuple[int, int, int]) -> keras.Model:
    """The backbone without top: [B, H, W, 3] -> [B, H/32, W/32, 1280]."""
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
    """An inverted residual block."""
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
