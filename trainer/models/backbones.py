"""The backbones by name: normalized images to feature maps. Families: `trainer.config.backbones`.

Backbones from keras.applications are models within the model, under our name, so that parameter
groups can match them by path.
"""

import keras

from catalog.errors import UserError
from trainer.config.backbones import FAMILIES, family_of
from trainer.config.model import ModelConfig
from trainer.models import small_networks
from trainer.models.batch_norm import Norm, replace_norm
from trainer.models.efficientnet_lite import efficientnet_lite

_MEAN = (0.485, 0.456, 0.406)  # ImageNet's pixels over 255: mean and standard deviation
_DEVIATION = (0.229, 0.224, 0.225)


def feature_map(
    image: keras.KerasTensor,
    config: ModelConfig,
    *,
    norm: Norm = keras.layers.BatchNormalization,
) -> keras.KerasTensor:
    """Builds the backbone of a config: [B, H, W, 3] -> [B, h, w, c].

    Args:
      image: The normalized images.
      config: The `model` part of the run's config.
      norm: Builds the batch norm layers.

    Raises:
      UserError: If its initial weights are unavailable.
    """
    match config.name:
        case 'small_cnn':
            return small_networks.small_cnn(image, channels=config.channels, norm=norm)
        case 'small_resnet':
            return small_networks.small_resnet(image, channels=config.channels, norm=norm)
        case 'small_xception':
            return small_networks.small_xception(image, norm=norm)
        case name if name in FAMILIES['efficientnet_lite'].members:
            backbone = efficientnet_lite(name, input_shape=image.shape[1:])
        case name:
            backbone = _from_keras(name, input_shape=image.shape[1:], weights=None)
    if norm is not keras.layers.BatchNormalization:
        backbone = replace_norm(backbone, norm)
    _load(backbone, config)
    if config.name in FAMILIES['efficientnet'].members:
        _normalize_by_imagenet(backbone)
    return backbone(image)


def _from_keras(
    name: str, *, input_shape: tuple[int, int, int], weights: str | None
) -> keras.Model:
    application = getattr(keras.applications, family_of(name).members[name])
    model = application(include_top=False, weights=weights, input_shape=input_shape)
    # Named here: some of Keras's functions look up blocks or weights by the name they are given.
    return keras.Model(model.input, model.output, name=name)


def _load(backbone: keras.Model, config: ModelConfig) -> None:
    """Loads initial weights into a backbone whose layers do not depend on them.

    Keras builds EfficientNet with one more layer for `imagenet`: a model built without weights, to
    be restored from a checkpoint, would lack it.
    """
    if config.weights is None:
        return
    try:
        if config.weights == 'imagenet':
            shape = backbone.input_shape[1:]
            trained = _from_keras(config.name, input_shape=shape, weights='imagenet')
            backbone.set_weights(trained.get_weights())
        else:
            backbone.load_weights(config.weights)
    except Exception as error:  # Keras's downloader and reader raise no narrower class
        raise UserError(
            f'model.weights must be imagenet or a file of {config.name} weights without top, '
            f'got {config.weights!r}: {error}'
        ) from error


def _normalize_by_imagenet(backbone: keras.Model) -> None:
    """Sets EfficientNet's own normalization to `(x / 255 - mean) / deviation`.

    Keras's weight files hold the deviation where the layer expects a variance, which Keras corrects
    with the extra layer described in `_load` (github.com/tensorflow/tensorflow/issues/49930);
    without a weight file it does not normalize at all. The layer computes with constants that a
    checkpoint does not restore.
    """
    layer = next(x for x in backbone.layers if isinstance(x, keras.layers.Normalization))
    shape = layer.adapt_mean.shape
    layer.adapt_mean.assign(keras.ops.reshape(_MEAN, shape))
    layer.adapt_variance.assign(keras.ops.reshape([x * x for x in _DEVIATION], shape))
    layer.finalize_state()
