"""The networks: backbone, head, last layer. Knows no data.

Input: what `preprocess.normalize` gives; output: logits.
"""

import dataclasses

import keras

from trainer import backbones, heads, last_layers
from trainer.last_layers import LOGITS
from trainer.model_config import ModelConfig


def build_model(
    config: ModelConfig, *, num_classes: int, input_shape: tuple[int, int, int]
) -> keras.Model:
    """A model from float32 [B, H, W, 3] to logits float32 [B, num_classes].

    Raises:
      UserError: if the weights that it should begin with cannot be had.
    """
    image = keras.Input(input_shape, name='image')
    features = heads.features(backbones.feature_map(image, config), config)
    logits = last_layers.logits(features, config, num_classes=num_classes)
    return keras.Model(image, logits, name=config.name)


def feature_model(model: keras.Model) -> keras.Model:
    """The same weights, up to the features that the last layer takes, float32 [B, d]."""
    return keras.Model(model.input, model.get_layer(LOGITS).input, name=f'{model.name}_features')


def count_parameters(
    config: ModelConfig, *, num_classes: int, input_shape: tuple[int, int, int]
) -> int:
    """The parameters of a model, which is not made: 571 million take no memory and no time."""
    config = dataclasses.replace(config, weights=None)
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(config, num_classes=num_classes, input_shape=input_shape)
    return int(model.count_params())
