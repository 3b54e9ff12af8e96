"""Makes one answer of several models' by the rule of a `combination`."""

import numpy as np
import tensorflow as tf

from trainer.inference.ensemble import SMALLEST
from trainer.inference.ensemble import Combination


def log_probabilities(probabilities: tf.Tensor, rule: Combination) -> tf.Tensor:
    """Those of M models, float32 [M, B, C], to the logarithms of one's, float32 [B, C]."""
    logs = tf.math.log(tf.maximum(probabilities, SMALLEST))
    weights = tf.constant(rule.weights[:, np.newaxis], tf.float32)  # [M, 1, 1 or C]
    if rule.name == 'arithmetic':
        return tf.reduce_logsumexp(logs + tf.math.log(weights), axis=0)
    bias = tf.constant(rule.bias, tf.float32)
    return tf.nn.log_softmax(tf.reduce_sum(weights * logs, axis=0) + bias)
