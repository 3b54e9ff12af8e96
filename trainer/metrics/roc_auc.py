"""One-vs-rest ROC AUC over many classes, from probabilities that stream by. Pure numpy.

The AUC of a class is the share of (example of the class, other example) pairs of which the former
has the higher probability; equals count half (Hanley and McNeil, 1982). It needs every probability
at once, N x C of them. Up to `budget_bytes` these go to a temporary file, and the figure is exact.
Beyond it the probabilities of a class are counted in 4,064 bins (a 32nd of an octave each: 16 KB a
class, 86 MB for 5,270); pairs within a bin count half, and `error` bounds what that can be wrong.
In memory: 12 bytes an example, and a tile of 64 MiB.
"""

import tempfile
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt

from trainer.metrics.classification import Ints

BUDGET_BYTES = 4 << 30  # 4 GiB of disk: 200,000 examples of 5,270 classes

_TILE_BYTES = 64 << 20  # 64 MiB
_LEAST_TILE, _MOST_TILE = 64, 1 << 16  # rows
_BIN_SHIFT = 18  # of a float32's bits: 8 of the exponent and 5 of the mantissa stay
_BINS = (0x3F800000 >> _BIN_SHIFT) + 1  # the bits of 1.0

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RocAuc:
    """Means over the classes that have examples and are not all there is; 0 if there is none.

    Attributes:
      macro: the plain mean over classes.
      weighted: weighted by the number of examples of a class.
      classes: how many are in the means.
      error: `macro` and `weighted` differ from the exact figures by at most this; 0 where exact.
    """

    macro: float
    weighted: float
    classes: int
    error: float


class RocAucAccumulator:
    """Collects examples as they come.

    Usage:
      with RocAucAccumulator(num_classes, examples=N) as tally:
          tally.update(labels=..., probabilities=...)  # for each batch
          tally.figures()
    """

    def __init__(
        self, num_classes: int, *, examples: int, budget_bytes: int = BUDGET_BYTES
    ) -> None:
        """`examples`: at least about how many will come; decides whether the figure is exact."""
        self.num_classes = num_classes
        self.exact = 4 * examples * num_classes <= budget_bytes
        self._labels: list[Ints] = []
        self._own: list[Scores] = []  # of the label's class
        self._scores: _Spill | _Bins = _Spill(num_classes) if self.exact else _Bins(num_classes)

    def __enter__(self) -> 'RocAucAccumulator':
        return self

    def __exit__(self, *error: object) -> None:
        self._scores.close()

    def update(self, *, labels: Ints, probabilities: Scores) -> None:
        """Collects N examples: int [N], float32 [N, C] in [0, 1]."""
        self._labels.append(labels.astype(np.int64))
        self._own.append(probabilities[np.arange(len(labels)), labels])
        self._scores.add(probabilities)

    def figures(self) -> RocAuc:
        """The figures of all that was collected."""
        labels = np.concatenate([np.zeros(0, np.int64), *self._labels])
        own = np.concatenate([np.zeros(0, np.float32), *self._own])
        support = np.bincount(labels, minlength=self.num_classes)
        chosen = np.flatnonzero((support > 0) & (support < len(labels)))
        if not len(chosen):
            return RocAuc(0.0, 0.0, 0, 0.0)
        order = np.lexsort([own, labels])
        parts = np.split(own[order], np.cumsum(support)[:-1])
        auc, error = np.array([self._scores.auc(c, parts[c]) for c in chosen.tolist()]).T
        weights = support[chosen] / support[chosen].sum()
        return RocAuc(
            macro=float(auc.mean()),
            weighted=float(auc @ weights),
            classes=len(chosen),
            error=float(max(error.mean(), error @ weights)),
        )


class _Spill:
    """All scores in a temporary file, in tiles [C, rows] so that a class can be read back."""

    def __init__(self, num_classes: int) -> None:
        rows = int(np.clip(_TILE_BYTES // (4 * num_classes), _LEAST_TILE, _MOST_TILE))
        self._tile = np.empty((rows, num_classes), np.float32)
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self._filled = 0  # rows of the tile
        self._tiles = 0  # in the file

    def close(self) -> None:
        self._file.close()

    def add(self, scores: Scores) -> None:
        while len(scores):
            taken = min(len(scores), len(self._tile) - self._filled)
            self._tile[self._filled : self._filled + taken] = scores[:taken]
            self._filled += taken
            scores = scores[taken:]
            if self._filled == len(self._tile):
                self._file.write(self._tile.T.tobytes())
                self._tiles += 1
                self._filled = 0

    def _of_class(self, label: int) -> Scores:
        rows, num_classes = self._tile.shape
        column = np.empty(self._tiles * rows + self._filled, np.float32)
        for tile in range(self._tiles):
            self._file.seek(4 * rows * (tile * num_classes + label))
            part = column[tile * rows : (tile + 1) * rows]
            self._file.readinto(part)  # type: ignore[attr-defined]  # numpy arrays are buffers
        column[self._tiles * rows :] = self._tile[: self._filled, label]
        return column

    def auc(self, label: int, own: Scores) -> tuple[float, float]:
        """The AUC of a class, and its error; `own`: sorted, of its examples."""
        every = np.sort(self._of_class(label))
        less, equal = (_below(every, own) - _below(own, own)).T
        pairs = len(own) * (len(every) - len(own))
        return float((2 * less.sum() + equal.sum()) / (2 * pairs)), 0.0


def _below(scores: Scores, own: Scores) -> Ints:
    """How many scores are less than each of `own`, and how many equal: int64 [P, 2]."""
    less = np.searchsorted(scores, own, 'left')
    return np.stack([less, np.searchsorted(scores, own, 'right') - less], axis=1)


class _Bins:
    """The scores of each class counted in bins: uint32 [C, bins]."""

    def __init__(self, num_classes: int) -> None:
        self._counts = np.zeros((num_classes, _BINS), np.uint32)
        self._first = np.arange(num_classes, dtype=np.int64) * _BINS

    def close(self) -> None:
        self._counts = np.zeros((0, _BINS), np.uint32)

    def add(self, scores: Scores) -> None:
        np.add.at(self._counts.reshape(-1), (_bin(scores) + self._first).reshape(-1), np.uint32(1))

    def auc(self, label: int, own: Scores) -> tuple[float, float]:
        mine = np.bincount(_bin(own), minlength=_BINS)
        others = self._counts[label].astype(np.int64) - mine
        below = np.cumsum(others) - others
        pairs = float(mine.sum() * others.sum())
        within = float(mine @ others)
        return (float(mine @ below) + within / 2) / pairs, within / 2 / pairs


def _bin(scores: Scores) -> Ints:
    """The bin of each score: the bits of positive floats ascend as the floats do."""
    bits = np.ascontiguousarray(np.minimum(scores, np.float32(1))).view(np.uint32)
    return (bits >> _BIN_SHIFT).astype(np.int64)
