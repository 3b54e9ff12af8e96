"""Finds the categories that folders of photos name.

`DIR/7/`, `DIR/LEVEL 1 > LEVEL 2 > LEVEL 3/`, `DIR/LEVEL 1/LEVEL 2/LEVEL 3/` and `DIR/LEVEL 3/` name
a category: by its id, by the names on its path in one folder or one inside the other, or by the end
of its path where no other path ends so.

Names are compared in Unicode's normal form C, with spaces around and repeated spaces removed, and
with `_` in place of characters that folders cannot have. If no category has exactly these names,
upper and lower case are the same.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from unicodedata import normalize

from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.photos import folder_contents
from catalog.photos.confined import Rules, is_inside

Names = tuple[str, ...]

_FORBIDDEN = re.compile(r'[/\\:*?"<|]')  # in the names of folders of Windows or Linux; not `>`
_MAX_ID_DIGITS = 18  # fits an int64


@dataclass(frozen=True)
class CategoryFolder:
    """A folder of photos.

    Attributes:
      within: Its path below the input.
      category_id: None if it names no category.
      inner: Names of folders in it that have rows of their own.
      loose: Whether only the photos directly in it are meant.
    """

    within: str
    category_id: int | None
    inner: frozenset[str] = frozenset()
    loose: bool = False


class FolderNames:
    """The categories of a tree by names of folders."""

    def __init__(self, tree: Categories) -> None:
        self._nodes: set[Names] = set()
        self._exact: dict[Names, int | None] = {}
        self._folded: dict[Names, int | None] = {}
        self._ends: dict[Names, int | None] = {}
        self._tree = tree
        for path, category_id in zip(tree.names, tree.ids.tolist(), strict=True):
            names = split_names(*path)
            folded = _fold(names)
            _add(self._exact, names, category_id)
            _add(self._folded, folded, category_id)
            for depth in range(1, len(names) + 1):
                self._nodes.add(folded[:depth])
                _add(self._ends, folded[depth:], category_id)

    def is_node(self, names: Names) -> bool:
        """Returns whether names are a path in the tree, of a category or a parent."""
        return _fold(names) in self._nodes

    def find(self, names: Names) -> int | None:
        """Returns the id of the category with this path, or None if there is none."""
        found = self._exact.get(names)
        return self._folded.get(_fold(names)) if found is None else found

    def find_end(self, names: Names) -> int | None:
        """Returns the id of the only category whose path ends so, or None."""
        return self._ends.get(_fold(names))

    def find_text(self, text: str) -> int | None:
        """Returns the id of the category with this id, code, path or end of a path, or None."""
        label = self._tree.find(text)
        if label is not None:
            return int(self._tree.ids[label])
        names = split_names(text)
        found = self.find(names)
        return self.find_end(names) if found is None else found

    def nearest(self, text: str) -> str:
        """Returns the path of the category whose names are most like a text."""
        wanted = ' > '.join(_fold(split_names(text)))
        return max(
            (
                (difflib.SequenceMatcher(None, wanted, name).ratio(), path)
                for name in difflib.get_close_matches(wanted, list(self._texts), 3, cutoff=0)
                for path in (self._texts[name],)
            ),
            key=lambda scored: scored[0],
        )[1]

    @cached_property
    def _texts(self) -> dict[str, str]:
        """The path of each category by its names and by the last of them."""
        paths: dict[str, str] = {}
        for path in self._tree.names:
            shown = ' > '.join(name.strip() for name in path)
            for text in (path[-1], shown):
                paths.setdefault(' > '.join(_fold(split_names(text))), shown)
        return paths


def find_folders(folder: str, names: FolderNames, rules: Rules) -> Iterator[CategoryFolder]:
    """Yields the folders that contain the photos of a folder, without overlaps.

    The first is the folder itself, with its loose photos, which have no category.

    Raises:
      UserError: If a folder is a link to outside.
    """
    yield CategoryFolder('', category_id=None, loose=True)
    for name in _folders(folder, '', rules):
        yield from _find_below(folder, name, split_names(name), names, rules)


def _find_below(
    root: str, within: str, path: Names, names: FolderNames, rules: Rules
) -> Iterator[CategoryFolder]:
    """Yields a folder and those in it. `path` is its path of names in the tree, if it has one."""
    if not names.is_node(path):
        own = within.rpartition('/')[2]
        category_id = names.find_text(own)
        yield CategoryFolder(within, parse_number(own) if category_id is None else category_id)
        return
    children = {name: (*path, *split_names(name)) for name in _folders(root, within, rules)}
    category_id = names.find(path)
    inner = {
        name: child
        for name, child in children.items()
        if names.is_node(child) or category_id is None
    }
    if category_id is None and not any(map(names.is_node, inner.values())):
        end = names.find_end(path)
        if end is not None:  # `Wine` is a parent, but here the category `Drinks > Other > Wine`
            yield CategoryFolder(within, end)
            return
    if inner:
        yield CategoryFolder(within, category_id, inner=frozenset(inner), loose=category_id is None)
    else:
        yield CategoryFolder(within, category_id)
    for name, child in inner.items():
        yield from _find_below(root, f'{within}/{name}', child, names, rules)


def _folders(root: str, within: str, rules: Rules) -> list[str]:
    """Returns the names of the folders in a folder.

    Raises:
      UserError: If one is a link to outside.
    """
    found = folder_contents.folders_in(storage.join(root, within) if within else root)
    for name in found:
        path = storage.join(root, within, name) if within else storage.join(root, name)
        if not (storage.is_remote(path) or rules.allow_outside or is_inside(path, root)):
            raise UserError(
                f'{path}: must be a folder below {root}, got a link to another; '
                '--allow_outside permits this'
            )
    return found


def parse_number(name: str) -> int | None:
    """Returns a name as a number, or None if it is not one."""
    if name.isascii() and name.isdecimal() and len(name) <= _MAX_ID_DIGITS:
        return int(name)
    return None


def split_names(*texts: str) -> Names:
    """Returns names in the form in which they are compared; text is split at `>`."""
    joined = '>'.join(_FORBIDDEN.sub('_', normalize('NFC', text)) for text in texts)
    return tuple(' '.join(name.split()) for name in joined.split('>'))


def _fold(names: Sequence[str]) -> Names:
    return tuple(name.casefold() for name in names)


def _add(ids: dict[Names, int | None], names: Names, category_id: int) -> None:
    """Adds a category, or None where several have the names."""
    if names:
        ids[names] = category_id if ids.get(names, category_id) == category_id else None
