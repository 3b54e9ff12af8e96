"""The levels above the leaves. A level is an array `node_of` int64 [C]: the node above each leaf.

The cross-entropies of the leaf and its parents are added up, each with the weight 1. Where the
parents have heads of their own, these are the branches of B-CNN (Zhu and Bain, 2017,
arXiv:1709.09890). Where the probability of a parent is the sum of its leaves' probabilities, it is
a hierarchical cross-entropy (Bertinetto et al., 2020, arXiv:1912.09393): the leaf given its parent
counts once, the parent given its own parent twice, the top level three times.
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Nodes = npt.NDArray[np.int64]  # [C]


def node_shares(shares: npt.NDArray[np.float64], node_of: Nodes) -> npt.NDArray[np.float64]:
    """Returns the shares of the K nodes of a level from those of the leaves: [C] -> [K]."""
    return np.bincount(node_of, weights=shares).astype(np.float64)


def node_cross_entropy(
    log_probabilities: tf.Tensor, labels: tf.Tensor, *, node_of: Nodes
) -> tf.Tensor:
    """Returns `-log p` of the node above each label; p is the sum over the leaves of the node.

    Args:
      log_probabilities: Log probabilities of the leaves, float32 [B, C].
      labels: Leaves, int64 [B].
      node_of: The node above each leaf, int64 [C].

    Returns:
      Losses, float32 [B].
    """
    nodes = tf.constant(node_of)
    siblings = nodes[tf.newaxis] == tf.gather(nodes, labels)[:, tf.newaxis]  # bool [B, C]
    # Leaves of other nodes add e^-inf = 0. The label's own leaf is always there.
    chosen = tf.where(siblings, log_probabilities, -np.inf)
    return -tf.reduce_logsumexp(chosen, axis=-1)
