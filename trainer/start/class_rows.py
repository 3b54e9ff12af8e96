"""Maps the rows of a layer to another category tree. Pure: knows no model.

A row belongs to a category, which is known by the shop's id, or to a node above the categories,
which is known by its path of names.
"""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.categories import Categories

Names = tuple[str, ...]


@dataclass(frozen=True)
class Nodes:
    """The nodes of the rows of a layer, in the order of the rows.

    Attributes:
      keys: What a node is known by in both trees.
      paths: The path of names of each node.
    """

    keys: tuple[Hashable, ...]
    paths: tuple[Names, ...]


@dataclass(frozen=True)
class RowMap:
    """The rows of the other run that each row starts from.

    Attributes:
      same: The row of the same node, or -1 for a new node, int64 [rows].
      averaged: Of each new row, the rows whose mean it starts from, int64 [1 or more].
      dropped: Number of rows of the other run whose nodes have vanished.
    """

    same: npt.NDArray[np.int64]
    averaged: dict[int, npt.NDArray[np.int64]]
    dropped: int

    @property
    def counts(self) -> str:
        """How many rows are kept, new and dropped, in words."""
        new = len(self.averaged)
        return f'{len(self.same) - new:,} kept, {new:,} new, {self.dropped:,} dropped'

    def apply(self, weight: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
        """Maps a weight whose last axis has the rows: [..., rows of the other run] -> [..., rows].

        Rows of known nodes are copied bit for bit.
        """
        mapped = weight[..., self.same]
        for row, others in self.averaged.items():
            mapped[..., row] = weight[..., others].mean(axis=-1)
        return mapped


def nodes(tree: Categories, level: int) -> Nodes:
    """Returns the nodes of a level by their dense label; level 0 is the categories."""
    if not level:
        return Nodes(tuple(tree.ids.tolist()), tree.names)
    paths = tuple(dict.fromkeys(path[:level] for path in tree.names))
    return Nodes(paths, paths)


def map_rows(before: Nodes, now: Nodes) -> RowMap:
    """Finds what each row starts from.

    A new row starts from the mean of all known rows below the nearest ancestor that has any; the
    last ancestor is the root. A known node counts where it is now, and a vanished one where it was:
    if a category is divided, its parts start from a mean that it is part of.
    """
    row_of = {key: row for row, key in enumerate(before.keys)}
    same = np.array([row_of.get(key, -1) for key in now.keys], np.int64)
    places = dict(zip(now.keys, now.paths, strict=True))
    known: dict[Names, list[int]] = defaultdict(list)  # rows by the path of an ancestor
    for row, (key, path) in enumerate(zip(before.keys, before.paths, strict=True)):
        place = places.get(key, path)
        for depth in range(len(place) + 1):
            known[place[:depth]].append(row)
    averaged = {
        row: np.array(_nearest(known, now.paths[row])) for row in np.flatnonzero(same < 0).tolist()
    }
    return RowMap(same, averaged, dropped=len(row_of.keys() - places.keys()))


def _nearest(known: dict[Names, list[int]], path: Names) -> list[int]:
    depths = range(len(path), -1, -1)
    return next(known[path[:depth]] for depth in depths if path[:depth] in known)
