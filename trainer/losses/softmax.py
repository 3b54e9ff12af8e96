"""Losses of log probabilities: float32 [B, C] and labels int64 [B] -> float32 [B]."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

_MIN_MISS = 1e-6  # of 1 - p: its power has no finite slope at 0 for exponents below 1


def cross_entropy(
    log_probabilities: tf.Tensor, labels: tf.Tensor, *, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Returns `-log p`; `label_smoothing` of the target is spread evenly over all classes.

    Szegedy et al., 2016, arXiv:1512.00567, section 7.
    """
    picked = _log_probability_of(labels, log_probabilities)
    spread = tf.reduce_mean(log_probabilities, axis=-1)
    return -(1 - label_smoothing) * picked - label_smoothing * spread


def focal_loss(log_probabilities: tf.Tensor, labels: tf.Tensor, *, gamma: float) -> tf.Tensor:
    """Returns `-(1 - p)^gamma log p`, over a softmax.

    Lin et al., 2017, arXiv:1708.02002, equation 4.
    """
    picked = _log_probability_of(labels, log_probabilities)
    missed = tf.maximum(-tf.math.expm1(picked), _MIN_MISS)
    return -tf.pow(missed, gamma) * picked


def generalized_cross_entropy(
    log_probabilities: tf.Tensor, labels: tf.Tensor, *, q: float
) -> tf.Tensor:
    """Returns `(1 - p^q) / q`, which bounds the loss and the gradient of improbable labels.

    Zhang and Sabuncu, 2018, arXiv:1805.07836, equation 6.
    """
    return -tf.math.expm1(q * _log_probability_of(labels, log_probabilities)) / q


def _log_probability_of(labels: tf.Tensor, log_probabilities: tf.Tensor) -> tf.Tensor:
    return tf.gather(log_probabilities, labels, batch_dims=1)  # [B, C] -> [B]


def class_margins(counts: npt.NDArray[np.float64], *, largest: float) -> npt.NDArray[np.float32]:
    """Returns `k / n^(1/4)` of each class: rare classes must win by more. [C] -> float32 [C].

    Label-distribution-aware margins (Cao et al., 2019, arXiv:1906.07413, equation 12).

    Args:
      counts: Examples of each class, above 0, [C]; a common factor makes no difference.
      largest: The margin of the rarest class; it decides k.
    """
    margins: npt.NDArray[np.float64] = largest * (counts.min() / counts) ** 0.25
    return margins.astype(np.float32)


def subtract_margins(
    logits: tf.Tensor, labels: tf.Tensor, *, margins: npt.NDArray[np.float32]
) -> tf.Tensor:
    """Lowers the logit of the label by the margin of its class (equation 13): [B, C] -> [B, C].

    The cross-entropy of the result is the paper's loss. The paper multiplies a cosine by 30 and has
    a margin of 0.5 of the cosine: here 15, on the last layer `cosine`.
    """
    margin = tf.gather(tf.constant(margins), labels)  # [B]
    return logits - margin[:, tf.newaxis] * tf.one_hot(labels, len(margins))
