"""The parents of a leaf. A level is an array `node_of` int64 [C]: the node above each leaf.

The cross-entropies of leaf and parents are summed, each with the weight 1. Where a parent has a
head of its own these are the branches of B-CNN (Zhu and Bain, 2017, arXiv:1709.09890). Where its
probability is the sum of its leaves', it is a hierarchical cross-entropy (Bertinetto et al., 2020,
arXiv:1912.09393): the leaf given its parent counts once, that given its own parent twice, the top
three times.
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Nodes = npt.NDArray[np.int64]  # [C]


def node_shares(shares: npt.NDArray[np.float64], node_of: Nodes) -> npt.NDArray[np.float64]:
    """The shares of a level's K nodes from those of the leaves: [C] -> [K]."""
    return np.bincount(node_of, weights=shares).astype(np.float64)


def summed(log_probabilities: tf.Tensor, labels: tf.Tensor, *, node_of: Nodes) -> tf.Tensor:
    """The cross-entropy of the node above the label: leaves' log p [B, C], labels [B] -> [B].

    The probability of a node is the sum of its leaves'.
    """
    nodes = tf.constant(node_of)
    siblings = nodes[tf.newaxis] == tf.gather(nodes, labels)[:, tf.newaxis]  # bool [B, C]
    # A leaf that is none of them adds e^-inf = 0. The label's own is always there.
    chosen = tf.where(siblings, log_probabilities, -np.inf)
    return -tf.reduce_logsumexp(chosen, axis=-1)
