"""Combines the probabilities of several models into one distribution.

- `arithmetic`: the weighted mean.
- `geometric`: the normalized product of powers (a product of experts, Hinton, 2002).
- `stacking` (Wolpert, 1992): the same with an exponent for each model and class, and a factor for
  each class.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.metrics.calibration import MIN_PROBABILITY

Name = Literal['arithmetic', 'geometric', 'stacking']
Floats = npt.NDArray[np.float64]

_DESCRIPTIONS = {
    'arithmetic': 'the weighted mean',
    'geometric': 'the weighted geometric mean',
    'stacking': 'stacking',
}


@dataclass(frozen=True)
class Combination:
    """A rule for M models of C classes.

    Attributes:
      name: Name of the rule.
      weights: Weights of the models, float64 [M, 1]; for `stacking` [M, C].
      bias: Logarithm of the factors of the classes, float64 [C] for `stacking`, otherwise [1] and
        0.
    """

    name: Name
    weights: Floats
    bias: Floats

    @property
    def description(self) -> str:
        """The rule in words."""
        return _DESCRIPTIONS[self.name]


def equal_weights(name: Literal['arithmetic', 'geometric'], *, models: int) -> Combination:
    """Returns a rule in which all models have the same weight."""
    return Combination(name, np.full((models, 1), 1 / models), np.zeros(1))


def combined_log_probabilities(probabilities: tf.Tensor, rule: Combination) -> tf.Tensor:
    """Combines the probabilities of M models: float32 [M, B, C] -> logarithms, float32 [B, C]."""
    logs = tf.math.log(tf.maximum(probabilities, MIN_PROBABILITY))
    weights = tf.constant(rule.weights[:, np.newaxis], tf.float32)  # [M, 1, 1 or C]
    if rule.name == 'arithmetic':
        return tf.reduce_logsumexp(logs + tf.math.log(weights), axis=0)
    bias = tf.constant(rule.bias, tf.float32)
    return tf.nn.log_softmax(tf.reduce_sum(weights * logs, axis=0) + bias)
