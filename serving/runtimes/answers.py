"""Turns probabilities into the outputs of the signatures, as the exported graph does."""

from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories
from catalog.predictions import ranking
from catalog.predictions.ranking import Floats

Answer = dict[str, npt.NDArray[Any]]


class Answers:
    """The category tree of a model, arranged for look-up by label."""

    def __init__(self, tree: Categories, *, top_k: int, level_threshold: float) -> None:
        self._tree = tree
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

    def top(self, probabilities: Floats) -> Answer:
        """Returns the most probable categories: float32 [N, C] -> [N, k] each, best first."""
        label = ranking.top_labels(probabilities, self._top_k)
        return {
            'label': label,
            'category_id': self._ids[label],
            'confidence': probabilities[np.arange(len(label))[:, np.newaxis], label],
            **{name: values[label] for name, values in self._texts.items()},
        }

    def deepest_level(self, probabilities: Floats) -> npt.NDArray[np.int64]:
        """Returns the deepest level that can be trusted: float32 [P, C] -> int64 [P]."""
        return ranking.deepest_level(probabilities, self._tree, threshold=self._threshold)
