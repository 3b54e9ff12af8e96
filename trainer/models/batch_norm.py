"""Batch norm layers for training: TensorFlow's fused kernel, statistics over all devices.

Ioffe and Szegedy, 2015, arXiv:1502.03167. Keras 3 computes batch norm with about forty operations;
with the kernel, a step of MobileNetV2 takes three quarters of the time. The weights are the same;
the numbers are equal up to rounding. Evaluated and exported models have Keras's layer.
"""

import functools
import random
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

# Builds a batch norm layer from the options of Keras's layer.
Norm = Callable[..., keras.layers.Layer]


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer, with the fused kernel in training; the class name keeps automatic names."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> Any:
        """Normalizes feature maps, [B, H, W, C].

        In training by their own statistics; a frozen layer by its moving ones, also with the
        kernel, which the graph optimizer fuses with the convolution before it.
        """
        maps = len(inputs.shape) == 4 and mask is None
        if not (training and maps and self._is_plain()):
            return super().call(inputs, training=training, mask=mask)
        x = tf.cast(inputs, tf.float32)  # as Keras does: half precision overflows
        channels = self.moving_mean.shape
        learns = self.trainable
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.gamma if self.scale else tf.ones(channels),
            offset=self.beta if self.center else tf.zeros(channels),
            mean=[] if learns else self.moving_mean,
            variance=[] if learns else self.moving_variance,
            epsilon=self.epsilon,
            is_training=learns,
        )
        if learns:
            count = tf.cast(tf.size(x) // channels[0], tf.float32)
            self._update(self.moving_mean, mean)
            # The kernel returns the unbiased variance; Keras averages the biased one.
            self._update(self.moving_variance, variance * (count - 1) / count)
        return tf.cast(outputs, self.compute_dtype)

    def _is_plain(self) -> bool:
        return self.axis in (-1, 3) and not (self.synchronized or self.renorm)

    def _update(self, average: keras.Variable, value: tf.Tensor) -> None:
        average.assign(average * self.momentum + value * (1.0 - self.momentum))


def training_norm(*, fused: bool, synchronized: bool) -> Norm:
    """Returns what builds the batch norm layers of a model to train.

    Args:
      fused: Whether to use TensorFlow's kernel; with XLA, which fuses Keras's operations itself, it
        gains nothing.
      synchronized: Whether the statistics are those of the global batch.
    """
    layer: Norm = BatchNormalization if fused else keras.layers.BatchNormalization
    return functools.partial(layer, synchronized=True) if synchronized else layer


def replace_norm(model: keras.Model, norm: Norm) -> keras.Model:
    """Returns a copy of a model of images with other batch norm layers.

    All names stay, and the values of all weights and seeds. For backbones of keras.applications,
    which build their own layers.
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.BatchNormalization):
            return layer.__class__.from_config(layer.get_config())
        options = layer.get_config()
        del options['synchronized']
        return norm(**options)

    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers):
        return model
    state = random.getstate()
    image = keras.Input(batch_shape=model.input.shape, name=model.layers[0].name)
    copy = keras.models.clone_model(model, input_tensors=image, clone_function=clone)
    random.setstate(state)  # Keras drew seeds for the layers of the copy
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy
