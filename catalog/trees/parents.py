"""Category trees as tables of nodes that name their parents, as databases hold them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from catalog.errors import UserError
from catalog.trees import ids

_PARENT_NAMES = ('parentid', 'parent', 'parentcategoryid', 'parentcategory', 'parentcode')
_NAMES = ('name', 'categoryname', 'title', 'label')
_NO_PARENT = ('', '0', '-1', 'NULL', r'\N')  # how databases export a node at the top

Line = tuple[int, list[str]]  # number of the line, its fields


class Columns(NamedTuple):
    """Which columns have the id of a node, that of its parent, and its name."""

    id: int
    parent: int
    name: int


def find_columns(header: Sequence[str], id_names: Sequence[str]) -> Columns | None:
    """Returns the columns of a table of nodes, or None if it is none. Others are not used.

    Args:
      header: Names of the columns, in the form in which they are compared.
      id_names: Names that the column of the ids may have.
    """
    found = [
        [number for number, name in enumerate(header) if name in known]
        for known in (id_names, _PARENT_NAMES, _NAMES)
    ]
    return Columns(*(numbers[0] for numbers in found)) if all(map(len, found)) else None


def join_paths(lines: Sequence[Line], columns: Columns, *, path: str) -> list[Line]:
    """Returns the id and the path of names of each node.

    Raises:
      UserError: With the line number, if a parent does not exist or is below its own child.
    """
    nodes: dict[int | str, Line] = {}
    for line, cells in lines:
        nodes.setdefault(_key(cells[columns.id]), (line, cells))
    return [
        (line, [cells[columns.id], *_path(line, cells, nodes, columns, path=path)])
        for line, cells in lines
    ]


def _path(
    line: int, cells: list[str], nodes: Mapping[int | str, Line], columns: Columns, *, path: str
) -> list[str]:
    names = [cells[columns.name]]
    passed = {_key(cells[columns.id])}
    while (parent := cells[columns.parent].strip()) not in _NO_PARENT or _key(parent) in nodes:
        if _key(parent) in passed:
            raise UserError(
                f'{path}, line {line}: a category must not be its own parent, got {parent!r} again '
                'on the way to the top'
            )
        if _key(parent) not in nodes:
            raise UserError(
                f'{path}, line {line}: the parent of a category must be in the file, got {parent!r}'
            )
        passed.add(_key(parent))
        _, cells = nodes[_key(parent)]
        names.insert(0, cells[columns.name])
    return names


def _key(text: str) -> int | str:
    """Returns an id as it compares: 7.0, as columns with gaps are exported, is 7."""
    number = ids.parse_integer(text)
    return ids.normalize_code(text) if number is None else number
