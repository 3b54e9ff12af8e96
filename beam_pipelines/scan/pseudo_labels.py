"""Pseudo-labels: categories of unlabelled products, as an earlier model predicts them.

A product without a category gets the likeliest one if its confidence reaches the threshold of that
category (Lee, 2013, "Pseudo-Label"). A category that the source gives always counts.
"""

import csv
import functools
import hashlib
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.predictions.reading import Likeliest, read_likeliest

DEFAULT_THRESHOLD = '0.9'

NONE, UNSURE = -1, -2  # in place of a label

# Places in the ledger of unlabelled products that are not used.
WITHOUT = 'dropped_without_pseudo_label'  # not predicted, or as a category that is not in the tree
BELOW = 'dropped_below_pseudo_threshold'
HELD_OUT = 'dropped_pseudo_label_held_out'  # pseudo-labels are for train only

_NEVER = 2.0  # no confidence reaches it
_HEADER = ['category_id', 'threshold']


@dataclass(frozen=True)
class PseudoLabels:
    """Predictions and how confident they must be. Small, so that it is sent to every worker.

    Attributes:
      path: Path of the predictions, which each worker reads once.
      sha256: SHA-256 of the file, in hex.
      threshold: What the thresholds are: a number, or the SHA-256 of their file, in hex.
      thresholds: The lowest confidence that counts, by label.
    """

    path: str
    sha256: str
    threshold: str
    thresholds: tuple[float, ...]

    def load(self, tree: Categories) -> 'LoadedLabels':
        """Reads the predictions.

        Raises:
          UserError: If the file has changed.
        """
        return LoadedLabels(_read(self.path, self.sha256), self.thresholds, tree)


class LoadedLabels:
    """The pseudo-labels of products."""

    def __init__(
        self, likeliest: Likeliest, thresholds: tuple[float, ...], tree: Categories
    ) -> None:
        labels = _labels(likeliest, tree)[likeliest.category]
        # Without a label, the threshold is of any category: it is not used.
        unsure = (labels >= 0) & (likeliest.confidence < np.asarray(thresholds)[labels])
        self._likeliest, self._labels = likeliest, np.where(unsure, UNSURE, labels)

    def find(
        self, product_ids: npt.NDArray[np.int64], keys: npt.NDArray[np.bytes_] | None
    ) -> npt.NDArray[np.int32]:
        """Returns the labels of products, NONE or UNSURE, int32 [N].

        Args:
          product_ids: Their ids, int64 [N].
          keys: Their ids that are not integers, as of `Products.keys`.
        """
        rows = self._likeliest.find(product_ids, keys)
        return np.append(self._labels, NONE)[rows].astype(np.int32)


def open_pseudo_labels(path: str, *, threshold: str, tree: Categories) -> PseudoLabels:
    """Reads predictions once, to check them, and the thresholds.

    Args:
      path: Path of the predictions.
      threshold: A number in (0, 1], or the path of a CSV file with the columns `category_id` and
        `threshold`; a category that it does not list gets no pseudo-labels.
      tree: The category tree.

    Raises:
      UserError: If a file is not of its form, or the predictions are of other categories.
    """
    likeliest = read_likeliest(path)
    if (_labels(likeliest, tree) == NONE).all():
        raise UserError(
            f'--pseudo_labels: {path} must predict categories of the tree, got '
            f'{", ".join(likeliest.categories[:3]) or "no prediction"}'
        )
    return PseudoLabels(path, likeliest.sha256, *_thresholds(threshold, tree))


@functools.lru_cache(1)
def _read(path: str, sha256: str) -> Likeliest:
    likeliest = read_likeliest(path)
    if likeliest.sha256 != sha256:
        raise UserError(f'--pseudo_labels: {path} must not change while it is read; run again')
    return likeliest


def _labels(likeliest: Likeliest, tree: Categories) -> npt.NDArray[np.int64]:
    """Returns the label of each distinct category, int64; NONE if it is not in the tree."""
    found = [tree.find_id(category) for category in likeliest.categories]
    return np.array([NONE if label is None else label for label in found], np.int64)


def _thresholds(text: str, tree: Categories) -> tuple[str, tuple[float, ...]]:
    """Returns `PseudoLabels.threshold` and the threshold of each category."""
    number = _number(text)
    if number is not None:
        if not 0 < number <= 1:
            raise UserError(f'--pseudo_threshold: must be in (0, 1], got {text}')
        return f'{number:g}', (number,) * len(tree)
    data = _read_bytes(text)
    try:
        rows = list(csv.reader(io.StringIO(data.decode('utf-8-sig'))))
    except UnicodeDecodeError as error:
        raise UserError(f'{text}: thresholds must be CSV in UTF-8, got other bytes') from error
    if not rows or rows[0] != _HEADER:
        raise UserError(
            f'{text}: thresholds must have the header {",".join(_HEADER)}, got '
            f'{",".join(rows[0]) if rows else "an empty file"}'
        )
    found = [_NEVER] * len(tree)
    for line, row in enumerate(rows[1:], start=2):
        label = tree.find_id(row[0]) if row else None
        threshold = _number(row[1]) if len(row) == len(_HEADER) else None
        if label is None or threshold is None or not 0 < threshold <= 1:
            raise UserError(
                f'{text}, line {line}: must be a category of the tree and its threshold in (0, 1], '
                f'got {",".join(row)!r}'
            )
        found[label] = threshold
    return hashlib.sha256(data).hexdigest(), tuple(found)


def _read_bytes(path: str) -> bytes:
    try:
        return storage.read_bytes(path)
    except FileNotFoundError as error:
        raise UserError(
            f'--pseudo_threshold: must be a number in (0, 1] or a CSV file, got {path!r}'
        ) from error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
