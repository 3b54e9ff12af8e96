"""Fuses the features of a product's views into features of the product. Knows no backbone.

The result depends neither on the order of the views nor on the values at masked places. A product
may have one view, so a single image can be classified too.
"""

import keras
import tensorflow as tf
from keras import layers

from trainer.config.model import FusionConfig

VIEWS = 'views'  # name of the layer that takes the features of all images


class Views(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Arranges the features of images by product: [features [N, d], mask bool [B, V]] -> [B, V, d].

    The mask marks the real views. The features are those of the real views, product by product, or
    of all N = B * V places.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the features in their places; the values at masked places are undefined."""
        features, mask = inputs
        if None not in mask.shape and features.shape[0] == mask.shape.num_elements():
            return tf.reshape(features, [*mask.shape, features.shape[-1]])
        shape = tf.concat([tf.shape(mask), [features.shape[-1]]], axis=0)
        views = tf.scatter_nd(tf.where(mask), features, tf.cast(shape, tf.int64))
        if mask.shape[1] is None:
            return tf.ensure_shape(views, [*mask.shape, features.shape[-1]])
        return tf.reshape(views, [-1, mask.shape[1], features.shape[-1]])  # also converts to LiteRT


class MaskedMean(layers.Layer):  # type: ignore[misc]
    """Computes the mean of the real views: [views [B, V, d], mask bool [B, V]] -> [B, d]."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Divides the sum by the count; zeros for products without a real view."""
        views, mask = inputs
        count = tf.reduce_sum(tf.cast(mask, views.dtype), axis=1, keepdims=True)
        summed = tf.reduce_sum(tf.where(mask[..., tf.newaxis], views, 0), axis=1)
        return summed / tf.maximum(count, 1)


class MaskedMax(layers.Layer):  # type: ignore[misc]
    """Computes the maximum of the real views: [views [B, V, d], mask bool [B, V]] -> [B, d]."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Takes the maximum of each feature."""
        views, mask = inputs
        return tf.reduce_max(tf.where(mask[..., tf.newaxis], views, views.dtype.min), axis=1)


class MaskedAttention(layers.Layer):  # type: ignore[misc]
    """Computes the mean of the real views, weighted by the softmax of their scores.

    [views [B, V, d], scores [B, V, 1], mask bool [B, V]] -> [B, d].
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Computes the softmax in float32, over the real views."""
        views, scores, mask = inputs
        scores = tf.cast(scores[..., 0], tf.float32)
        weights = tf.nn.softmax(tf.where(mask, scores, scores.dtype.min), axis=1)
        real = tf.where(mask[..., tf.newaxis], views, 0)
        return tf.reduce_sum(tf.cast(weights, views.dtype)[..., tf.newaxis] * real, axis=1)


def fuse_views(
    features: keras.KerasTensor, mask: keras.KerasTensor, config: FusionConfig
) -> keras.KerasTensor:
    """Builds the fusion of a config: [N, d] and bool [B, V], as `Views` takes them, -> [B, e]."""
    views = Views(name=VIEWS)([features, mask])
    match config.name:
        case 'mean':
            fused = MaskedMean()([views, mask])
        case 'max':
            fused = MaskedMax()([views, mask])
        case 'gated':
            fused = MaskedAttention()([views, _gated_scores(views, units=config.units), mask])
        case 'mlp':
            fused = _deep_set(views, mask, units=config.units)
        case name:
            raise ValueError(f'fusion.name must be mean, max, gated or mlp, got {name!r}')
    return layers.Dropout(config.dropout)(fused) if config.dropout else fused


def _gated_scores(views: keras.KerasTensor, *, units: int) -> keras.KerasTensor:
    """Builds the scores `w' (tanh(V h) * sigmoid(U h))`, without biases: [B, V, d] -> [B, V, 1].

    Ilse, Tomczak and Welling, 2018, arXiv:1802.04712, equation 9.
    """
    tanh = layers.Dense(units, 'tanh', use_bias=False, name='fusion_tanh')(views)
    gate = layers.Dense(units, 'sigmoid', use_bias=False, name='fusion_gate')(views)
    return layers.Dense(1, use_bias=False, name='fusion_score')(layers.Multiply()([tanh, gate]))


def _deep_set(
    views: keras.KerasTensor, mask: keras.KerasTensor, *, units: int
) -> keras.KerasTensor:
    """Builds `rho(mean of phi(view))`, each a dense layer with ReLU: [B, V, d] -> [B, units].

    Zaheer et al., 2017, arXiv:1703.06114. A dense layer on the concatenated views could learn from
    their order, but clients send views in any order.
    """
    hidden = layers.Dense(units, 'relu', name='fusion_view')(views)
    return layers.Dense(units, 'relu', name='fusion_product')(MaskedMean()([hidden, mask]))
