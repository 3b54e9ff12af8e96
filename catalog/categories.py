"""The category tree (`category_names.csv`) and the dense labels of its nodes.

A leaf's label is its row in the file, from 0. A parent's label numbers the distinct paths in row
order. A node is identified by its full path, not by its name: two level-1 nodes may both have a
level-2 child of the same name. Names keep their leading and trailing spaces.
"""

import csv
import hashlib
import io
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from catalog import storage, terminal
from catalog.errors import UserError

FILE_NAME = 'category_names.csv'
HEADER = ['category_id', 'category_level1', 'category_level2', 'category_level3']


@dataclass(frozen=True)
class Categories:
    """A category tree with C leaves.

    Attributes:
      ids: The shop's category ids by label, int64 [C].
      names: (level1, level2, level3) by label.
      sha256: SHA-256 of the file's bytes, in hex.
    """

    ids: npt.NDArray[np.int64]
    names: tuple[tuple[str, str, str], ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def label_by_id(self) -> dict[int, int]:
        """The label of each category id."""
        return {int(category_id): label for label, category_id in enumerate(self.ids)}

    @cached_property
    def level1(self) -> npt.NDArray[np.int64]:
        """The dense level-1 label of each leaf, int64 [C]."""
        return _dense(names[:1] for names in self.names)

    @cached_property
    def level2(self) -> npt.NDArray[np.int64]:
        """The dense level-2 label of each leaf, int64 [C]."""
        return _dense(names[:2] for names in self.names)


def _dense(paths: Iterable[Hashable]) -> npt.NDArray[np.int64]:
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(path, len(number)) for path in paths], np.int64)


def load(path: str) -> Categories:
    """Reads and checks a category tree.

    Raises:
      UserError: With the line number, if the file is not UTF-8 without a byte order mark, if its
        header differs from `HEADER`, if a row is not an id and three names without control
        characters, or if an id repeats.
    """
    return parse(storage.read_bytes(path), path=path)


def parse(data: bytes, *, path: str) -> Categories:
    """Parses the bytes of a category tree; `path` names them in errors. Raises as `load` does."""
    if data.startswith(b'\xef\xbb\xbf'):
        raise UserError(f'{path}, line 1: must be UTF-8 without a byte order mark, got one')
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        byte = data[error.start]
        raise UserError(f'{path}, line {line}: must be UTF-8, got byte 0x{byte:02x}') from error

    rows = csv.reader(io.StringIO(text, newline=''), strict=True)
    ids: dict[int, int] = {}  # id -> line
    names = []
    try:
        header = next(rows, [])
        if header != HEADER:
            raise UserError(
                f'{path}, line 1: the header must be {",".join(HEADER)}, got {",".join(header)}'
            )
        for row in rows:
            category_id = _category_id(row, path=path, line=rows.line_num)
            if category_id in ids:
                raise UserError(
                    f'{path}, line {rows.line_num}: category_id must be unique, '
                    f'got {category_id} again (first on line {ids[category_id]})'
                )
            for name in filter(terminal.has_controls, row):
                raise UserError(
                    f'{path}, line {rows.line_num}: a name must have no control characters, '
                    f'got {name!a}'
                )
            ids[category_id] = rows.line_num
            names.append((row[1], row[2], row[3]))
    except csv.Error as error:
        raise UserError(f'{path}, line {rows.line_num}: must be CSV, got: {error}') from error
    if not names:
        raise UserError(f'{path}: must contain at least one category, got none')
    return Categories(
        ids=np.array(list(ids), np.int64),
        names=tuple(names),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _category_id(row: list[str], *, path: str, line: int) -> int:
    if len(row) != len(HEADER):
        raise UserError(
            f'{path}, line {line}: a row must have {len(HEADER)} fields, got {len(row)}: {row}'
        )
    try:
        return int(row[0])
    except ValueError as error:
        raise UserError(
            f'{path}, line {line}: category_id must be an integer, got {row[0]!r}'
        ) from error
