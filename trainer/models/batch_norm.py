"""Batch norm in training by TensorFlow's own kernel, where Keras 3 takes some forty operations.

Ioffe and Szegedy, 2015, arXiv:1502.03167. The same weights and, to rounding, the same numbers; a
step of MobileNetV2 takes three quarters of the time. What a model answers with is Keras's.
"""

from typing import Any

import keras
import tensorflow as tf


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer, and by its name, so that paths of weights stay what they are."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> Any:
        """Normalises maps of features, [B, H, W, C], by their own figures in training."""
        maps = len(inputs.shape) == 4 and mask is None
        if not (training and self.trainable and maps):
            return super().call(inputs, training=training, mask=mask)
        x = tf.cast(inputs, tf.float32)  # as Keras does: half precision overflows
        channels = self.moving_mean.shape
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.gamma if self.scale else tf.ones(channels),
            offset=self.beta if self.center else tf.zeros(channels),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
        )
        count = tf.cast(tf.size(x) // channels[0], tf.float32)
        self._average(self.moving_mean, mean)
        self._average(self.moving_variance, variance * (count - 1) / count)  # Bessel's, undone
        return tf.cast(outputs, self.compute_dtype)

    def _average(self, moving: keras.Variable, now: tf.Tensor) -> None:
        moving.assign(moving * self.momentum + now * (1.0 - self.momentum))


def fuse(model: keras.Model) -> None:
    """Makes every batch norm of a model such a one, in place: its weights stay.

    (keras.applications builds its own layers; a copy of the model would draw its weights anew.)
    """
    for layer in model._flatten_layers():
        if type(layer) is keras.layers.BatchNormalization and _is_plain(layer):
            layer.__class__ = BatchNormalization


def _is_plain(layer: keras.layers.BatchNormalization) -> bool:
    return layer.axis in (-1, 3) and not (layer.synchronized or layer.renorm)
