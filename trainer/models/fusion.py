"""From the features of a product's views to those of the product. Knows no backbone and no data.

The order of the views and what lies at masked places change nothing. A product of one view is a
legal product, so a picture alone can be asked about too.
"""

import keras
import tensorflow as tf
from keras import layers

from trainer.config.model import FusionConfig

VIEWS = 'views'  # the layer that the features of all pictures go into


class Views(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Puts the features of pictures at the places of their products.

    Takes [features [N, d], mask bool [B, V]]: the features of the views that are real, product by
    product, or of all N = B * V places, and which of these are real. Gives [B, V, d].
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The features in their places; what stands at masked ones means nothing."""
        features, mask = inputs
        if None not in mask.shape and features.shape[0] == mask.shape.num_elements():
            return tf.reshape(features, [*mask.shape, features.shape[-1]])
        shape = tf.concat([tf.shape(mask), [features.shape[-1]]], axis=0)
        views = tf.scatter_nd(tf.where(mask), features, tf.cast(shape, tf.int64))
        return tf.ensure_shape(views, [*mask.shape, features.shape[-1]])


class MaskedMean(layers.Layer):  # type: ignore[misc]
    """[views [B, V, d], mask bool [B, V]] -> [B, d], the mean of the real views."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The sum over the number; zeros where no view is real."""
        views, mask = inputs
        count = tf.reduce_sum(tf.cast(mask, views.dtype), axis=1, keepdims=True)
        summed = tf.reduce_sum(tf.where(mask[..., tf.newaxis], views, 0), axis=1)
        return summed / tf.maximum(count, 1)


class MaskedMax(layers.Layer):  # type: ignore[misc]
    """[views [B, V, d], mask bool [B, V]] -> [B, d], the largest of the real views."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The maximum feature by feature."""
        views, mask = inputs
        return tf.reduce_max(tf.where(mask[..., tf.newaxis], views, views.dtype.min), axis=1)


class MaskedAttention(layers.Layer):  # type: ignore[misc]
    """[views [B, V, d], scores [B, V, 1], mask bool [B, V]] -> [B, d], weighed by the scores."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The sum of the real views, weighed by the softmax of their scores."""
        views, scores, mask = inputs
        scores = tf.cast(scores[..., 0], tf.float32)
        weights = tf.nn.softmax(tf.where(mask, scores, scores.dtype.min), axis=1)
        real = tf.where(mask[..., tf.newaxis], views, 0)
        return tf.reduce_sum(tf.cast(weights, views.dtype)[..., tf.newaxis] * real, axis=1)


def fuse(
    features: keras.KerasTensor, mask: keras.KerasTensor, config: FusionConfig
) -> keras.KerasTensor:
    """The features of the products: [N, d] and bool [B, V], as `Views` takes them, -> [B, e]."""
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
    """[B, V, d] -> [B, V, 1]: w' (tanh(V h) * sigmoid(U h)), without biases.

    Ilse, Tomczak and Welling, 2018, arXiv:1802.04712, equation 9.
    """
    tanh = layers.Dense(units, 'tanh', use_bias=False, name='fusion_tanh')(views)
    gate = layers.Dense(units, 'sigmoid', use_bias=False, name='fusion_gate')(views)
    return layers.Dense(1, use_bias=False, name='fusion_score')(layers.Multiply()([tanh, gate]))


def _deep_set(
    views: keras.KerasTensor, mask: keras.KerasTensor, *, units: int
) -> keras.KerasTensor:
    """[B, V, d] -> [B, units]: rho(mean of phi(view)), a layer with relu each.

    Zaheer et al., 2017, arXiv:1703.06114. By the order of the views one layer on all of them side
    by side could know more; but who asks a server may send them in any order.
    """
    each = layers.Dense(units, 'relu', name='fusion_view')(views)
    return layers.Dense(units, 'relu', name='fusion_product')(MaskedMean()([each, mask]))
