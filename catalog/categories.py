"""The category tree (`category_names.csv`) and the dense labels of its nodes.

A category's label is its row in the file, from 0. A parent's label numbers the distinct paths in
row order. A node is identified by its full path, not by its name: two level-1 nodes may both have a
level-2 child of the same name. Names compare in Unicode's normal form C and keep their leading and
trailing spaces.

A tree of N levels has paths of one to N names. A path that ends above level N is its own node on
each deeper level. Where it is also the parent of other categories, as in Google's taxonomy, it is
the same node as their parent on its own level, and another node than each of them below.
"""

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import storage
from catalog.errors import UserError
from catalog.formats import containers
from catalog.trees import csv_tree, google, ids, rows
from catalog.trees.name_search import NameSearch

FILE_NAME = 'category_names.csv'
HEADER = csv_tree.header(3)
USUAL_LEVELS = 3

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Categories:
    """A category tree with C categories and N levels.

    Attributes:
      ids: The shop's category ids by label, int64 [C]; of codes, their numbers.
      names: The path of names by label, one to N each.
      sha256: SHA-256 of `category_names.csv`, in hex.
      codes: The shop's ids as text by label, if they are not integers.
    """

    ids: Int64s
    names: tuple[tuple[str, ...], ...]
    sha256: str
    codes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def levels(self) -> int:
        """N, the number of levels."""
        return max(len(path) for path in self.names)

    @cached_property
    def label_by_id(self) -> dict[int, int]:
        """The label of each category id."""
        return {int(category_id): label for label, category_id in enumerate(self.ids)}

    @cached_property
    def parents(self) -> tuple[Int64s, ...]:
        """The node above each category at the levels 1 to N-1: dense labels, int64 [C] each."""
        return tuple(_dense(path[:level] for path in self.names) for level in range(1, self.levels))

    @cached_property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of nodes at the levels 1 to N-1."""
        return tuple(int(nodes.max()) + 1 for nodes in self.parents)

    @cached_property
    def depths(self) -> Int64s:
        """The number of names in the path of each category, int64 [C]."""
        return np.array([len(path) for path in self.names], np.int64)

    def level_names(self, level: int) -> list[str]:
        """Returns the name of each category at a level, from 1; '' below the end of its path."""
        return [path[level - 1] if level <= len(path) else '' for path in self.names]

    @cached_property
    def shown_ids(self) -> npt.NDArray[Any]:
        """The shop's own ids by label, int64 or str [C]."""
        return np.array(self.codes, object) if self.codes else self.ids

    def shown_id(self, label: int) -> int | str:
        """Returns the shop's own id of a category."""
        return self.codes[label] if self.codes else int(self.ids[label])

    def path_text(self, label: int) -> str:
        """Returns the path of a category with ` > ` between the names."""
        return ' > '.join(self.names[label])

    def find_id(self, value: float | str) -> int | None:
        """Returns the label of an id, which is an integral number or text; None if unknown.

        Of codes, a number may also be the one that stands for a code in `ids`.
        """
        number = ids.parse_integer(str(value))
        if not self.codes:
            return None if number is None else self.label_by_id.get(number)
        if isinstance(value, str) or number is None:
            return self._label_by_code.get(ids.normalize_code(str(value)))
        label = self._label_by_code.get(str(number))
        return self.label_by_id.get(number) if label is None else label

    def find(self, value: float | str) -> int | None:
        """Returns the label of a category, or None if there is none or more than one.

        Args:
          value: Its id, an integral number or text; or its path of names with ` > ` or `/` between
            them. The end of a path suffices where no other path ends so.
        """
        label = self.find_id(value)
        return self.search.find(str(value)) if label is None else label

    def id_of(self, label: int | None) -> int | None:
        """Returns the id in `ids` of a category, None for None."""
        return None if label is None else int(self.ids[label])

    def nearest_path(self, text: str) -> str:
        """Returns the path of the category whose path, or last name, is most like a text."""
        return ' > '.join(name.strip() for name in self.names[self.search.nearest(text)])

    @cached_property
    def search(self) -> NameSearch:
        """The names of the categories."""
        return NameSearch(self.names)

    @cached_property
    def _label_by_code(self) -> dict[str, int]:
        return {code: label for label, code in enumerate(self.codes or ())}


def _dense(paths: Iterable[Hashable]) -> Int64s:
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(path, len(number)) for path in paths], np.int64)


def load(path: str) -> Categories:
    """Reads and checks a category tree.

    Raises:
      UserError: With the line number, if the file is not a tree of the forms in docs/formats.md.
    """
    return parse(storage.read_bytes(path), path=path)


def parse(data: bytes, *, path: str) -> Categories:
    """Parses the bytes of a category tree; `path` names them in errors. Raises as `load` does."""
    return parse_file(data, path=path)[0]


def parse_file(data: bytes, *, path: str) -> tuple[Categories, bytes]:
    """Parses a category tree, and returns it with the bytes of `category_names.csv`.

    These are the file's own if it has the header `category_id,category_level1,…`, commas, UTF-8
    without byte order mark and no blank lines. Otherwise, they are the same tree in that form.
    Raises as `load` does.
    """
    known = containers.recognize(data[: containers.HEAD_BYTES])
    if known and known[0] != containers.TEXT:
        raise UserError(f'{path}: must be a category tree as text, got {known[0]}; save it as CSV')
    text = rows.decode(data, path=path)
    if google.recognize(text):
        found, canonical = google.parse(text, path=path), False
    else:
        found, canonical = csv_tree.parse(text, path=path)
    if not found:
        raise UserError(f'{path}: must contain at least one category, got none')
    numbers, codes = ids.parse_ids(found, path=path)
    names = tuple(row.names for row in found)
    if not canonical or data != text.encode():
        data = format_tree(codes or numbers, names)
    tree = Categories(
        ids=np.array(numbers, np.int64),
        names=names,
        sha256=hashlib.sha256(data).hexdigest(),
        codes=codes,
    )
    return tree, data


def format_tree(category_ids: Sequence[int | str], paths: Sequence[Sequence[str]]) -> bytes:
    """Formats a tree as `category_names.csv`, from the id and the path of each category."""
    return csv_tree.format_rows(zip(category_ids, paths, strict=True))
