"""The complete networks: backbone, head, last layer, and the parts of them. Knows no data.

Input: images as `preprocess.normalize` returns them. Output: logits.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import keras
import tensorflow as tf

from trainer.config.model import ModelConfig
from trainer.models import backbones, fusion, heads
from trainer.models.batch_norm import Norm
from trainer.models.heads import LOGITS

Shape = tuple[int | None, int | None, int]  # of an image; None for a variable side


def build_model(
    config: ModelConfig,
    *,
    num_classes: int,
    input_shape: Shape,
    norm: Norm = keras.layers.BatchNormalization,
) -> keras.Model:
    """Builds a model from images, float32 [B, H, W, 3], to logits, float32 [B, num_classes].

    If the config fuses views, the inputs are [images [N, H, W, 3], mask bool [B, V]], as
    `fusion.Views` takes the features, and the logits are those of the products.

    Args:
      config: The `model` part of the run's config.
      num_classes: Number of classes.
      input_shape: Shape of an image.
      norm: Builds the batch norm layers; of a model to train, `batch_norm.training_norm`.

    Raises:
      UserError: If the initial weights are unavailable.
    """
    image = keras.Input(input_shape, name='image')
    feature_map = backbones.feature_map(image, config, norm=norm)
    features = heads.features(feature_map, config, norm=norm)
    inputs = image
    if config.fusion.is_on:
        mask = keras.Input([None], dtype='bool', name='mask')
        features, inputs = fusion.fuse_views(features, mask, config.fusion), [image, mask]
    logits = heads.logits(features, config, num_classes=num_classes)
    return keras.Model(inputs, logits, name=config.name)


def feature_model(model: keras.Model) -> keras.Model:
    """Builds the model from images to features, float32 [B, d], of the same layers and weights.

    The features are the input of the fusion, or without fusion the input of the last layer.
    """
    fused = takes_products(model)
    features = model.get_layer(fusion.VIEWS).input[0] if fused else model.get_layer(LOGITS).input
    image = model.inputs[0]
    return keras.Model(image, features, name=f'{model.name}_features')


def feature_and_logit_model(model: keras.Model) -> keras.Model:
    """Builds the model from images to [features, logits], which computes the features once.

    For a model without fusion; it has the same layers and weights.
    """
    features = feature_model(model).output
    return keras.Model(model.inputs, [features, model.output], name=f'{model.name}_both')


def head_model(model: keras.Model) -> keras.Model:
    """Builds the model from [features [N, d], mask bool [B, V]] to the products' logits.

    It has the layers and weights of a model that fuses views.
    """
    views = model.get_layer(fusion.VIEWS)
    return keras.Model(views.input, model.output, name=f'{model.name}_head')


def takes_products(model: keras.Model) -> bool:
    """Returns whether an example of the model is a product, not an image."""
    return len(model.inputs) > 1


def single_view_mask(images: tf.Tensor) -> tf.Tensor:
    """Returns the mask that makes each of N images, or their features, a product: bool [N, 1]."""
    return tf.ones([tf.shape(images)[0], 1], tf.bool)


def sketch(config: ModelConfig, *, num_classes: int, input_shape: Shape) -> keras.Model:
    """Builds a model without values for its weights: 571 million take no memory and no time."""
    config = dataclasses.replace(config, weights=None)

    def build() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return build_model(config, num_classes=num_classes, input_shape=input_shape)

    # Keras keeps a list of uninitialized variables per thread, and would initialize them later.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


def count_parameters(config: ModelConfig, *, num_classes: int, input_shape: Shape) -> int:
    """Counts the parameters of a model, without allocating them."""
    return int(sketch(config, num_classes=num_classes, input_shape=input_shape).count_params())
