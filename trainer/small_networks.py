"""Networks that are trained from random weights: pictures to a map of features."""

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
    """The residual network for small pictures (He et al., 2015, arXiv:1512.03385, section 4.2), one
    block a stage, as wide as asked for (Zagoruyko and Komodakis, 2016, arXiv:1605.07146):
    [B, H, W, 3] -> [B, H/4, W/4, 4 * channels].
    """
    x = layers.ReLU()(_conv_norm(image, channels))
    for stage in range(3):
        x = _residual(x, channels << stage, strides=2 if stage else 1)
    return x


def _residual(x: keras.KerasTensor, channels: int, *, strides: int) -> keras.KerasTensor:
    shortcut = x if strides == 1 else _conv_norm(x, channels, size=1, strides=strides)
    x = layers.ReLU()(_conv_norm(x, channels, strides=strides))
    x = _conv_norm(x, channels)
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _conv_norm(
    x: keras.KerasTensor, channels: int, *, size: int = 3, strides: int = 1
) -> keras.KerasTensor:
    x = layers.Conv2D(channels, size, strides=strides, padding='same', use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9)(x)


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
