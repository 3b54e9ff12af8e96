"""Finds categories by their names."""

import difflib
import re
from collections.abc import Sequence
from unicodedata import normalize

_SEPARATOR = re.compile('[>/]')

Key = tuple[str, ...]


class NameSearch:
    """The paths of a tree, and their ends, by text."""

    def __init__(self, paths: Sequence[Key]) -> None:
        self._full: dict[Key, int | None] = {}
        self._ends: dict[Key, int | None] = {}
        self._texts = {' > '.join(path).casefold(): label for label, path in enumerate(paths)}
        for label, path in enumerate(paths):
            # A folder's name cannot contain a slash; `_` takes its place.
            for names in {path, tuple(name.replace('/', '_') for name in path)}:
                _add(self._full, _key(' > '.join(names)), label)
                for start in range(1, len(names)):
                    _add(self._ends, _key(' > '.join(names[start:])), label)

    def find(self, text: str) -> int | None:
        """Returns the label of the path, or of the only path with this end; None otherwise."""
        key = _key(text)
        return self._full[key] if key in self._full else self._ends.get(key)

    def nearest(self, text: str) -> int:
        """Returns the label of the path that is most like a text."""
        folded = normalize('NFC', text).casefold()
        found = difflib.get_close_matches(folded, list(self._texts), n=1, cutoff=0)
        return self._texts[found[0]]


def _key(text: str) -> Key:
    """Splits text at `>` and `/`, also those within names; spaces count once."""
    pieces = (' '.join(piece.split()) for piece in _SEPARATOR.split(normalize('NFC', text)))
    return tuple(piece for piece in pieces if piece)


def _add(labels: dict[Key, int | None], key: Key, label: int) -> None:
    """Adds a label, or None where several have the key."""
    labels[key] = label if labels.get(key, label) == label else None
