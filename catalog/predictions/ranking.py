"""Ranks categories by their probabilities, as the exported graph does."""

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories

Floats = npt.NDArray[np.float32]


def top_labels(probabilities: Floats, count: int) -> npt.NDArray[np.int64]:
    """Returns the labels of the largest values: float32 [N, C] -> int64 [N, count], largest first.

    Of equal values, the lower label is first.
    """
    place = probabilities.shape[1] - count
    smallest = np.partition(probabilities, place, axis=1)[:, place]
    rows = []
    for row, least in zip(probabilities, smallest, strict=True):
        labels = np.flatnonzero(row >= least)
        rows.append(labels[np.argsort(-row[labels], kind='stable')][:count])
    return np.array(rows, np.int64).reshape(len(probabilities), count)


def deepest_level(
    probabilities: Floats, tree: Categories, *, threshold: float
) -> npt.NDArray[np.int64]:
    """Returns the deepest level that can be trusted: float32 [P, C] -> int64 [P].

    The deepest one at which the summed confidence of all leaves under the parent of the most
    probable leaf is at least the threshold; 0 for none.
    """
    best = probabilities.argmax(axis=1)
    level = np.zeros(len(best), np.int64)
    for depth, node_of in enumerate([*tree.parents, np.arange(len(tree))], start=1):
        same = node_of == node_of[best][:, np.newaxis]  # [P, C]
        confidence = np.sum(probabilities, axis=1, where=same)
        level[confidence >= threshold] = depth
    return np.minimum(level, tree.depths[best])
