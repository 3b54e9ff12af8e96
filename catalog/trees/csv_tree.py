"""Category trees as CSV: an id, then a column for each level."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from catalog.errors import UserError
from catalog.trees import rows
from catalog.trees.rows import MAX_LEVELS, Row

_DELIMITERS = ',;\t|'
_ID_NAMES = ('categoryid', 'catid', 'id', 'code', 'categorycode', 'category', 'leafid', 'number')
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
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    found: list[Row] = []
    columns: list[str] | None = None
    blank = False
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                blank = True
            elif columns is None:
                columns = cells
                _check_header(cells, path=path, line=reader.line_num)
            else:
                cells = _check_width(cells, columns, path=path, line=reader.line_num)
                found.append(rows.row(cells[0], cells[1:], path=path, line=reader.line_num))
    except csv.Error as error:
        raise UserError(f'{path}, line {reader.line_num}: must be CSV, got: {error}') from error
    if columns is None:
        _check_header([], path=path, line=1)
    canonical = delimiter == ',' and not blank and columns == header(len(columns or ()) - 1)
    return found, canonical


def _check_header(cells: list[str], *, path: str, line: int) -> None:
    names = [re.sub('[ _-]', '', cell.lower()) for cell in cells]
    numbers = [_LEVEL_NAME.fullmatch(name) for name in names[1:]]
    levels = [match and int(match[1]) for match in numbers]
    numbered = levels == [*range(1, len(levels) + 1)] and 1 <= len(levels) <= MAX_LEVELS
    if numbered and names[0] in _ID_NAMES:
        return
    raise UserError(
        f'{path}, line {line}: the header must be category_id,category_level1,… with 1 to '
        f'{MAX_LEVELS} levels, got {",".join(cells)!a}'
    )


def _check_width(cells: list[str], columns: list[str], *, path: str, line: int) -> list[str]:
    """Returns the fields of a row, without empty ones beyond the header."""
    width = len(columns)
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        raise UserError(
            f'{path}, line {line}: a row must have {width} fields, got {len(cells)}: {cells}'
        )
    return cells[:width]
