"""The networks: backbone, head, last layer. Knows no data.

Input: what `preprocess.normalize` gives; output: logits.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import keras
import tensorflow as tf

from trainer.config.model import ModelConfig
from trainer.models import backbones, fusion, heads
from trainer.models.heads import LOGITS

Shape = tuple[int | None, int | None, int]  # of a picture; None where it may differ


def build_model(config: ModelConfig, *, num_classes: int, input_shape: Shape) -> keras.Model:
    """A model from pictures, float32 [B, H, W, 3], to logits float32 [B, num_classes].

    Where the config fuses the views of a product: from [pictures [N, H, W, 3], mask bool [B, V]],
    as `fusion.Views` takes their features, to the logits of the products.

    Raises:
      UserError: if the weights that it should begin with cannot be had.
    """
    image = keras.Input(input_shape, name='image')
    features = heads.features(backbones.feature_map(image, config), config)
    inputs = image
    if config.fusion.is_on:
        mask = keras.Input([None], dtype='bool', name='mask')
        features, inputs = fusion.fuse(features, mask, config.fusion), [image, mask]
    logits = heads.logits(features, config, num_classes=num_classes)
    return keras.Model(inputs, logits, name=config.name)


def feature_model(model: keras.Model) -> keras.Model:
    """The same weights, from pictures to their features, float32 [B, d].

    They are what the fusion takes, or where there is none, the last layer.
    """
    fused = takes_products(model)
    features = model.get_layer(fusion.VIEWS).input[0] if fused else model.get_layer(LOGITS).input
    image = model.inputs[0]
    return keras.Model(image, features, name=f'{model.name}_features')


def head_model(model: keras.Model) -> keras.Model:
    """The same weights, from [features [N, d], mask bool [B, V]] to the logits of the products."""
    views = model.get_layer(fusion.VIEWS)
    return keras.Model(views.input, model.output, name=f'{model.name}_head')


def takes_products(model: keras.Model) -> bool:
    """Whether an example of the model is a product, and not a picture."""
    return len(model.inputs) > 1


def alone(pictures: tf.Tensor) -> tf.Tensor:
    """The mask that makes each of N pictures, or of their features, a product: bool [N, 1]."""
    return tf.ones([tf.shape(pictures)[0], 1], tf.bool)


def sketch(config: ModelConfig, *, num_classes: int, input_shape: Shape) -> keras.Model:
    """A model without its weights, to count: 571 million take no memory and no time."""
    config = dataclasses.replace(config, weights=None)

    def build() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return build_model(config, num_classes=num_classes, input_shape=input_shape)

    # Keras remembers, by thread, what has no values yet, and would give it some later.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


def count_parameters(config: ModelConfig, *, num_classes: int, input_shape: Shape) -> int:
    """The parameters of a model, which is not made."""
    return int(sketch(config, num_classes=num_classes, input_shape=input_shape).count_params())
