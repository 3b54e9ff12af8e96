"""Label-distribution-aware margins: rare classes must win by more. Cao et al., 2019."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf


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
