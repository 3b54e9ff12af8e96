"""Losses of log probabilities. Each: float32 [B, C] and labels int64 [B] -> float32 [B].

Label-distribution-aware margins: rare classes must win by more. Cao et al., 2019.
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

_SMALLEST_MISS = 1e-6  # 1 - p: a power of less than 1 has no finite slope at 0


def cross_entropy(
    log_probabilities: tf.Tensor, labels: tf.Tensor, *, label_smoothing: float = 0.0
) -> tf.Tensor:
    """`-log p`; `label_smoothing` of the truth is spread evenly over all classes.

    Szegedy et al., 2016, arXiv:1512.00567, section 7.
    """
    picked = _of(labels, log_probabilities)
    spread = tf.reduce_mean(log_probabilities, axis=-1)
    return -(1 - label_smoothing) * picked - label_smoothing * spread


def focal(log_probabilities: tf.Tensor, labels: tf.Tensor, *, gamma: float) -> tf.Tensor:
    """`-(1 - p)^gamma log p` (Lin et al., 2017, arXiv:1708.02002, equation 4), over a softmax."""
    picked = _of(labels, log_probabilities)
    missed = tf.maximum(-tf.math.expm1(picked), _SMALLEST_MISS)
    return -tf.pow(missed, gamma) * picked


def generalized(log_probabilities: tf.Tensor, labels: tf.Tensor, *, q: float) -> tf.Tensor:
    """`(1 - p^q) / q` (Zhang and Sabuncu, 2018, arXiv:1805.07836, equation 6).

    A label that the model holds for impossible has a bounded loss and next to no gradient.
    """
    return -tf.math.expm1(q * _of(labels, log_probabilities)) / q


def _of(labels: tf.Tensor, log_probabilities: tf.Tensor) -> tf.Tensor:
    return tf.gather(log_probabilities, labels, batch_dims=1)  # [B, C] -> [B]


def margins(counts: npt.NDArray[np.float64], *, largest: float) -> npt.NDArray[np.float32]:
    """`C / n^(1/4)` of each class, `C` so that the rarest has `largest`: [C] -> float32 [C].

    arXiv:1906.07413, equation 12. `counts`: above 0; a common factor makes no difference.
    """
    owed: npt.NDArray[np.float64] = largest * (counts.min() / counts) ** 0.25
    return owed.astype(np.float32)


def demanding(
    logits: tf.Tensor, labels: tf.Tensor, *, margins: npt.NDArray[np.float32]
) -> tf.Tensor:
    """The logits, that of the label lower by its margin (equation 13): [B, C] -> [B, C].

    The cross-entropy of them is the paper's loss. The paper's logits are 30 times a cosine, and its
    margin is 0.5 of the cosine: here 15, on the last layer `cosine`.
    """
    owed = tf.gather(tf.constant(margins), labels)  # [B]
    return logits - owed[:, tf.newaxis] * tf.one_hot(labels, len(margins))
