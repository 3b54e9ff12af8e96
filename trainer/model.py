"""The networks. Input: what `preprocess.normalize` gives; output: logits. Knows no data."""

import keras
from keras import layers

from catalog.errors import UserError
from trainer.config import ModelConfig

LOGITS = 'logits'  # the last layer of every model


def build_model(
    config: ModelConfig, *, num_classes: int, input_shape: tuple[int, int, int]
) -> keras.Model:
    """A model from float32 [B, H, W, 3] to logits float32 [B, num_classes]."""
    image = keras.Input(input_shape, name='image')
    match config.name:
        case 'small_cnn':
            features = _small_cnn(image, config)
        case 'inception_v3':
            features = _inception_v3(image, config)
        case name:
            raise ValueError(f'model.name must be small_cnn or inception_v3, got {name!r}')
    logits = layers.Dense(num_classes, name=LOGITS)(features)
    return keras.Model(image, logits, name=config.name)


def feature_model(model: keras.Model) -> keras.Model:
    """The same weights, up to the features that the last layer takes, float32 [B, d]."""
    return keras.Model(model.input, model.get_layer(LOGITS).input, name=f'{model.name}_features')


def _small_cnn(image: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    """Three stages of convolution, each at half the size and twice the channels of the last."""
    x = image
    for stage in range(3):
        x = layers.Conv2D(config.channels << stage, 3, padding='same', use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(config.dropout)(x)


def _inception_v3(image: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    """InceptionV3 (Szegedy et al., 2015, arXiv:1512.00567) with the thesis's 1x1 convolution."""
    backbone = _load_inception_v3(input_shape=image.shape[1:], weights=config.weights)
    x = layers.BatchNormalization()(backbone(image))
    x = layers.Conv2D(config.head_channels, 1)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(config.dropout)(x)
    return layers.Flatten()(x)


def _load_inception_v3(*, input_shape: tuple[int, int, int], weights: str | None) -> keras.Model:
    try:
        return keras.applications.InceptionV3(
            include_top=False, weights=weights, input_shape=input_shape
        )
    except Exception as error:  # Keras's downloader raises no narrower class
        if weights is None:
            raise
        raise UserError(
            f'model.weights must be imagenet or a file of InceptionV3 weights without top, got '
            f'{weights!r}: {error}'
        ) from error
