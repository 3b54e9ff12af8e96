"""Finds categories by their names.

Names are compared in Unicode's normal form C, with spaces around and repeated spaces removed, and
with `_` in place of characters that folders cannot have. If no category has exactly these names,
upper and lower case are the same.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cached_property
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

Names = tuple[str, ...]

_FORBIDDEN = re.compile(r'[/\\:*?"<|]')  # in the names of folders of Windows or Linux; not `>`
_COMPARED = 8  # texts that are compared letter by letter with another


class NameSearch:
    """The paths of a tree, and their ends.

    Args:
      paths: The path of names of each category, by label.
    """

    def __init__(self, paths: Sequence[Names]) -> None:
        self._paths = paths
        self._nodes: set[Names] = set()
        self._full, self._ends = _Labels(), _Labels()
        for label, path in enumerate(paths):
            self._nodes.update(
                _fold(split_names(*path)[:depth]) for depth in range(1, 1 + len(path))
            )
            for names in _both_forms(*path):
                self._full.add(names, label)
                for depth in range(1, len(names)):
                    self._ends.add(names[depth:], label)

    def is_node(self, names: Names) -> bool:
        """Returns whether names are a path in the tree, of a category or a parent."""
        return _fold(names) in self._nodes

    def find_path(self, names: Names) -> int | None:
        """Returns the label of the category with this path, or None if there is none."""
        return self._full.find(names)

    def find_end(self, names: Names) -> int | None:
        """Returns the label of the only category whose path ends so, or None."""
        return self._ends.find(names)

    def find(self, text: str) -> int | None:
        """Returns the label of the path, or of the only path with this end; None otherwise.

        Args:
          text: Names with `>` or `/` between them.
        """
        forms = _both_forms(text)
        for labels in (self._full, self._ends):
            for names in forms:
                if labels.has(names):
                    return labels.find(names)
        return None

    def nearest(self, text: str) -> int:
        """Returns the label of the category whose path, or last name, is most like a text."""
        wanted = _shown(text)
        columns, have_pairs, pairs = self._pairs
        parts = _letter_pairs(wanted)
        shared = have_pairs[[columns[part] for part in parts if part in columns]].sum(axis=0)
        alike = shared / (pairs + len(parts))  # half of Dice's coefficient
        likely = np.argsort(-alike, kind='stable')[:_COMPARED].tolist()
        texts = list(self._texts)
        best = max(likely, key=lambda n: SequenceMatcher(None, wanted, texts[n]).ratio())
        return self._texts[texts[best]]

    @cached_property
    def _texts(self) -> dict[str, int]:
        """The label of each path, and of the last name in it."""
        labels: dict[str, int] = {}
        for label, path in enumerate(self._paths):
            for text in (' > '.join(path), path[-1]):
                labels.setdefault(_shown(text), label)
        return labels

    @cached_property
    def _pairs(self) -> tuple[dict[str, int], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """The number of each pair of letters, which texts have it, and how many a text has.

        bool [pairs, texts], int64 [texts].
        """
        found = [_letter_pairs(text) for text in self._texts]
        columns = {pair: number for number, pair in enumerate(sorted(set().union(*found)))}
        have = np.zeros((len(columns), len(found)), bool)
        for text, pairs in enumerate(found):
            have[[columns[pair] for pair in pairs], text] = True
        return columns, have, have.sum(axis=0)


class _Labels:
    """Labels by names, None where several categories have the names."""

    def __init__(self) -> None:
        self._exact: dict[Names, int | None] = {}
        self._folded: dict[Names, int | None] = {}

    def add(self, names: Names, label: int) -> None:
        for labels, key in ((self._exact, names), (self._folded, _fold(names))):
            labels[key] = label if labels.get(key, label) == label else None

    def has(self, names: Names) -> bool:
        return _fold(names) in self._folded

    def find(self, names: Names) -> int | None:
        found = self._exact.get(names)
        return self._folded.get(_fold(names)) if found is None else found


def split_names(*texts: str) -> Names:
    """Returns names in the form in which they are compared; text is split at `>`."""
    joined = '>'.join(_FORBIDDEN.sub('_', normalize('NFC', text)) for text in texts)
    return tuple(' '.join(name.split()) for name in joined.split('>'))


def _both_forms(*texts: str) -> tuple[Names, ...]:
    """Returns names that are split at `>`, and at `/` too, which is in some names."""
    forms = [texts, [text.replace('/', '>') for text in texts]]
    return tuple(
        dict.fromkeys(tuple(name for name in split_names(*form) if name) for form in forms)
    )


def _fold(names: Names) -> Names:
    return tuple(name.casefold() for name in names)


def _shown(text: str) -> str:
    """Returns a text as the letters of its names are compared."""
    return ' > '.join(_fold(split_names(text)))


def _letter_pairs(text: str) -> set[str]:
    """Returns each two letters in succession, with both ends."""
    padded = f'^{text}$'
    return {padded[start : start + 2] for start in range(len(padded) - 1)}
