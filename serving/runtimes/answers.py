"""Turns probabilities into the outputs of the signatures, as the exported graph does."""

from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from serving.networks.network import Floats

Answer = dict[str, npt.NDArray[Any]]


class Answers:
    """The category tree of a model, arranged for look-up by label."""

    def __init__(self, tree: Categories, *, top_k: int, level_threshold: float) -> None:
        self._top_k = min(top_k, len(tree))
        self._threshold = level_threshold
        self._ids = np.asarray(tree.ids, np.int64)
        texts = {f'level{level}': tree.level_names(level) for level in range(1, tree.levels + 1)}
        if tree.codes:
            texts['category_code'] = list(tree.codes)
        self._texts = {
            name: np.array([value.encode() for value in values], object)
            for name, values in texts.items()
        }
        self._nodes = [*tree.parents, np.arange(len(tree))]  # by level
        self._depths = np.array([len(path) for path in tree.names])

    def top(self, probabilities: Floats) -> Answer:
        """Returns the most probable categories: float32 [N, C] -> [N, k] each, best first."""
        label = _top_labels(probabilities, self._top_k)
        return {
            'label': label,
            'category_id': self._ids[label],
            'confidence': np.take_along_axis(probabilities, label, axis=1),
            **{name: values[label] for name, values in self._texts.items()},
        }

    def deepest_level(self, probabilities: Floats) -> npt.NDArray[np.int64]:
        """Returns the deepest level that can be trusted: float32 [P, C] -> int64 [P].

        The deepest one at which the summed confidence of all leaves under the parent of the most
        probable leaf is at least the threshold; 0 for none.
        """
        best = probabilities.argmax(axis=1)
        level = np.zeros(len(best), np.int64)
        for depth, node_of in enumerate(self._nodes, start=1):
            same = node_of == node_of[best][:, np.newaxis]  # [P, C]
            confidence = np.sum(probabilities, axis=1, where=same)
            level[confidence >= self._threshold] = depth
        return np.minimum(level, self._depths[best])


def _top_labels(probabilities: Floats, count: int) -> npt.NDArray[np.int64]:
    """Returns the labels of the largest values; of equal ones, the lower label is first."""
    smallest = -np.partition(-probabilities, count - 1, axis=1)[:, count - 1]
    rows = []
    for row, least in zip(probabilities, smallest, strict=True):
        labels = np.flatnonzero(row >= least)
        rows.append(labels[np.argsort(-row[labels], kind='stable')][:count])
    return np.array(rows, np.int64).reshape(len(probabilities), count)
