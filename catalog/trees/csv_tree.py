"""Category trees as CSV: an id, then a column for each level, or one for the whole path.

Or a table of nodes, each with the id of its parent.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from catalog.errors import UserError
from catalog.trees import parents, rows
from catalog.trees.rows import MAX_LEVELS, Row

_DELIMITERS = ',;\t|'
_SEPARATOR_LINE = re.compile('sep=(.)', re.IGNORECASE)  # which Excel reads and programs write
_ID_NAMES = ('categoryid', 'catid', 'id', 'code', 'categorycode', 'category', 'leafid', 'number')
# A column for the whole path, with `>` between the names, or else `/` in the first ones.
_PATH_NAMES = ('path', 'categorypath', 'fullpath', 'pathname', 'breadcrumb')
_FULL_NAMES = ('name', 'categoryname', 'fullname', 'category')
# What shops call a level, if not by a number; not `parent`, `count`, `url` and the like.
_LEVEL_WORD = re.compile(
    '(main|top|sub|subsub|leaf|product|article|item)*'
    '(category|cat|level|department|section|group|family|class|type|kind|division|segment|sector|'
    'aisle|range|line|brick|leaf|name|title|kategorie|gruppe|rayon|famille)(name)?'
)
_LEVEL_NAME = re.compile(r'(?=.*[^\W\d])\D*(\d)\D*')  # a word and the number of the level


def header(levels: int) -> list[str]:
    """Returns the header of the canonical form."""
    return ['category_id', *(f'category_level{number}' for number in range(1, levels + 1))]


def format_rows(categories: Iterable[tuple[int | str, Sequence[str]]]) -> bytes:
    """Formats the id and the names of each category as CSV in the canonical form."""
    listed = list(categories)
    levels = max(len(names) for _, names in listed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(header(levels))
    writer.writerows([id_, *names, *[''] * (levels - len(names))] for id_, names in listed)
    return text.getvalue().encode()


def parse(text: str, *, path: str) -> tuple[list[Row], bool]:
    """Parses a tree.

    Returns:
      The rows, and whether the file has the canonical form: commas, `header`, no blank lines.

    Raises:
      UserError: With the line number, if the file is not such a tree.
    """
    first = next((line for line in text.splitlines() if line.strip(' ,;\t|')), '')
    named = _SEPARATOR_LINE.fullmatch(first)
    delimiter = named[1] if named else max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    columns: list[str] | None = None
    blank = False
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells) or (named and reader.line_num == 1):
                blank = True
            elif columns is None:
                columns = cells
                _check_header(cells, path=path, line=reader.line_num)
            else:
                cells = _check_width(cells, columns, path=path, line=reader.line_num)
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f'{path}, line {reader.line_num}: must be CSV, got: {error}') from error
    if columns is None:
        _check_header([], path=path, line=1)
    names = columns or []
    if nodes := parents.find_columns([_form(name) for name in names], _ID_NAMES):
        lines = parents.join_paths(lines, nodes, path=path)
    elif len(names) == 2:
        lines = _split_paths(lines, _form(names[1]))
    found = [rows.row(cells[0], cells[1:], path=path, line=line) for line, cells in lines]
    canonical = delimiter == ',' and not blank and names == header(len(names) - 1)
    return found, canonical


def _check_header(cells: list[str], *, path: str, line: int) -> None:
    names = [_form(cell) for cell in cells]
    numbers = [_LEVEL_NAME.fullmatch(name) for name in names[1:]]
    levels = [match and int(match[1]) for match in numbers]
    few = 1 <= len(levels) <= MAX_LEVELS
    numbered = levels == [*range(1, len(levels) + 1)]
    named = all(_LEVEL_WORD.fullmatch(name) for name in names[1:])
    named = named or (len(levels) == 1 and names[1] in _PATH_NAMES)
    if parents.find_columns(names, _ID_NAMES):
        return
    if few and names[0] in _ID_NAMES and (numbered or named):
        return
    raise UserError(
        f'{path}, line {line}: the header must be category_id,category_level1,… with 1 to '
        f'{MAX_LEVELS} levels, got {",".join(cells)!a}; one column for all is category_id,path, '
        'and a table of nodes category_id,parent_id,name'
    )


def _form(name: str) -> str:
    """Returns the form in which names of columns are compared."""
    return re.sub(r'[\s_-]', '', name.lower())


def _split_paths(lines: list[tuple[int, list[str]]], column: str) -> list[tuple[int, list[str]]]:
    """Returns the lines with the names of their paths, if the only column has paths."""
    separator = '/' if column in _PATH_NAMES else ''
    if column in (*_PATH_NAMES, *_FULL_NAMES) and any('>' in cells[1] for _, cells in lines):
        separator = '>'
    if not separator:
        return lines
    return [
        (line, [cells[0], *(name.strip() for name in cells[1].split(separator))])
        for line, cells in lines
    ]


def _check_width(cells: list[str], columns: list[str], *, path: str, line: int) -> list[str]:
    """Returns the fields of a row, without empty ones beyond the header."""
    width = len(columns)
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        raise UserError(
            f'{path}, line {line}: a row must have {width} fields, got {len(cells)}: {cells}'
        )
    return cells[:width]
