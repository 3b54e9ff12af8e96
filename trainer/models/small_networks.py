"""Small networks for small images, trained from random weights."""

import keras
from keras import layers

from trainer.models.batch_norm import Norm


def small_cnn(image: keras.KerasTensor, *, channels: int, norm: Norm) -> keras.KerasTensor:
    """Builds three convolution stages: [B, H, W, 3] -> [B, H/8, W/8, 4 * channels].

    Each stage halves the size; each has twice the channels of the stage before.
    """
    x = image
    for stage in range(3):
        x = layers.Conv2D(channels << stage, 3, padding='same', use_bias=False)(x)
        x = norm(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    return x


def small_resnet(image: keras.KerasTensor, *, channels: int, norm: Norm) -> keras.KerasTensor:
    """Builds ResNet-9, for small images: [B, H, W, 3] -> [B, H/8, W/8, 8 * channels].

    Page, "How to Train Your ResNet", 2018. Pooling comes before batch norm, which then costs a
    quarter.
    """
    x = _conv_norm(image, channels, norm=norm)
    x = _residual(_conv_norm(x, 2 * channels, norm=norm, pool=True), norm=norm)
    x = _conv_norm(x, 4 * channels, norm=norm, pool=True)
    return _residual(_conv_norm(x, 8 * channels, norm=norm, pool=True), norm=norm)


def _residual(x: keras.KerasTensor, *, norm: Norm) -> keras.KerasTensor:
    channels = x.shape[-1]
    inner = _conv_norm(x, channels, norm=norm)
    return layers.Add()([x, _conv_norm(inner, channels, norm=norm)])


def _conv_norm(
    x: keras.KerasTensor, channels: int, *, norm: Norm, pool: bool = False
) -> keras.KerasTensor:
    x = layers.Conv2D(channels, 3, padding='same', use_bias=False)(x)
    if pool:
        x = layers.MaxPooling2D(2)(x)
    return layers.ReLU()(norm(momentum=0.9)(x))


def small_xception(image: keras.KerasTensor, *, norm: Norm) -> keras.KerasTensor:
    """Builds a small Xception: [B, H, W, 3] -> [B, H/32, W/32, 1024].

    The entry flow of Xception (Chollet, 2017, arXiv:1610.02357) as in Keras's example "Image
    classification from scratch" (2020), which the thesis trained.
    """
    x = _norm_relu(layers.Conv2D(32, 3, strides=2, padding='same')(image), norm=norm)
    x = _norm_relu(layers.Conv2D(64, 3, padding='same')(x), norm=norm)
    for channels in (128, 256, 512, 728):
        shortcut = layers.Conv2D(channels, 1, strides=2, padding='same')(x)
        x = layers.ReLU()(x)
        x = _norm_relu(layers.SeparableConv2D(channels, 3, padding='same')(x), norm=norm)
        x = layers.SeparableConv2D(channels, 3, padding='same')(x)
        x = norm()(x)
        x = layers.MaxPooling2D(3, strides=2, padding='same')(x)
        x = layers.Add()([x, shortcut])
    return _norm_relu(layers.SeparableConv2D(1024, 3, padding='same')(x), norm=norm)


def _norm_relu(x: keras.KerasTensor, *, norm: Norm) -> keras.KerasTensor:
    return layers.ReLU()(norm()(x))
