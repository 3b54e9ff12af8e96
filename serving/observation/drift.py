"""Drift of the class mix: how far the latest answers are from the shop's natural class prior."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog import manifest as manifests
from catalog.errors import UserError

WINDOW = 10_000  # answers

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prior:
    """Shares of the categories in the shop.

    Attributes:
      shares: Share of each category by label, float64 [C], of sum 1.
      nodes: For each level of the tree, from 1, the node of each category: int64 [C].
    """

    shares: Floats
    nodes: tuple[Int64s, ...]


class Drift(NamedTuple):
    """Distance between the class mix of the answers and the prior.

    Attributes:
      distance: Half of the sum of all differences: the share of the answers, 0 to 1, that would
        have to be in other categories.
      expected: The distance to expect of so many answers by chance, if nothing has changed.
    """

    distance: float
    expected: float


def read_prior(folder: str) -> Prior:
    """Reads the natural prior of a data set.

    Raises:
      UserError: If the folder is not a data set, or has no labels.
    """
    manifest = manifests.read(folder)
    shares = np.array(manifest.priors.get('natural', ()), np.float64)
    if not shares.sum() > 0:
        raise UserError(f'{folder}: must have a natural prior, got a data set without labels')
    tree = manifests.read_categories(folder, manifest)
    return Prior(shares / shares.sum(), (*tree.parents, np.arange(len(tree))))


class ClassMix:
    """The latest answers, compared with the prior."""

    def __init__(self, prior: Prior, *, window: int = WINDOW) -> None:
        """Keeps `window` answers."""
        self._prior = prior
        self._labels: deque[int] = deque(maxlen=window)

    def add(self, label: int) -> None:
        """Adds an answer. Labels of another tree are not counted."""
        if 0 <= label < len(self._prior.shares):
            self._labels.append(label)

    def drift(self, level: int) -> Drift:
        """Compares the answers at a level of the tree, from 1. Without answers, both are 0."""
        count = len(self._labels)
        if not count:
            return Drift(0.0, 0.0)
        nodes = self._prior.nodes[level - 1]
        size = int(nodes.max()) + 1
        answered = np.bincount(nodes[np.array(self._labels)], minlength=size) / count
        prior = np.bincount(nodes, weights=self._prior.shares, minlength=size)
        expected = sum(_mean_deviation(share, count) for share in prior) / 2
        return Drift(float(np.abs(answered - prior).sum() / 2), expected)

    @property
    def levels(self) -> int:
        """The number of levels of the tree."""
        return len(self._prior.nodes)

    def __len__(self) -> int:
        return len(self._labels)


def _mean_deviation(share: Any, count: int) -> float:
    """Returns the mean of |X / n - p| of a binomial X with n = `count` and p = `share`.

    De Moivre: 2 (1 - p) k P(X = k) / n with k = floor(n p) + 1.
    """
    p = float(share)
    if not 0 < p < 1:
        return 0.0
    k = math.floor(count * p) + 1
    log_choose = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
    log_probability = log_choose + k * math.log(p) + (count - k) * math.log1p(-p)
    return 2 * (1 - p) * k * math.exp(log_probability) / count
