"""The columns of a list of photos: what they are named, and what their cells mean.

| ours | also found as | cells |
|---|---|---|
| `path` | `file`, `image`, … | path of a photo; several with `|` between them, or a Parquet list |
| `category` | `category_id`, `label`, … | a category id, a code or the names of a leaf |
| `product` | `product_id`, `sku`, … | product id: rows with the same one are one product's views |
| `split` | only by `--fields` | `train`, `validation` or `test` |
| `group` | only by `--fields` | what products share that must be in one split |

Names are compared without case, and without spaces, `-` and `_`. A column is of integers (also
`7.0`) if all its cells are and none has leading zeros; otherwise it is text. Numbers that have lost
digits, as spreadsheets and floating-point columns do to long ids, are errors: they would make one
product of several.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError
from catalog.trees import ids

# Our names, each with other names that it is known by, the most certain first.
_KNOWN_NAMES = {
    'path': (
        'file', 'filename', 'filepath', 'image', 'imagepath', 'imagefile', 'imagename', 'img',
        'photo', 'picture', 'imageurl', 'url',
    ),
    'category': (
        'categoryid', 'categorycode', 'categoryname', 'categorypath', 'label', 'class', 'cat',
    ),
    'product': ('productid', 'sku', 'productsku', 'itemid', 'articleid', 'id'),
}  # fmt: skip
_OPTIONAL = ('split', 'group')  # read only under a name that the user gave

_URL = re.compile('(?!gs:|file:)[a-z][a-z0-9+.-]*://', re.IGNORECASE)
_DRIVE = re.compile(r'[a-z]:[/\\]', re.IGNORECASE)
_SHORTENED = f'^{ids.SHORTENED_NUMBER}$'
_EXACT_BITS = {16: 11, 32: 24, 64: 53}  # of integers, in floating-point numbers by their bits


def choose(found: Sequence[str], names: Mapping[str, str], *, path: str) -> dict[str, str]:
    """Returns the list's own names of the columns that it has, by our names.

    Args:
      found: The list's columns.
      names: The list's names that the user gave, by our names.
      path: The list, for errors.

    Raises:
      UserError: If a column is missing or is there twice.
    """
    listed = ', '.join(name or "''" for name in found) or 'none'
    by_form: dict[str, list[str]] = {}
    for name in found:
        by_form.setdefault(_form(name), []).append(name)
    chosen: dict[str, str] = {}
    optional: dict[str, tuple[str, ...]] = {ours: () for ours in _OPTIONAL if ours in names}
    for ours, known in (_KNOWN_NAMES | optional).items():
        given = names.get(ours)
        forms = (_form(given),) if given is not None else (ours, *known)
        hits = next((by_form[form] for form in forms if form in by_form), [])
        if given is not None and given in found:
            hits = [given]
        if len(hits) > 1 or (hits and list(found).count(hits[0]) > 1):
            different = list(dict.fromkeys(map(repr, hits)))
            several = ' and '.join(different) if len(different) > 1 else f'{different[0]} twice'
            raise UserError(
                f'{path}: a column must be there once, got {several}; rename one of them or use '
                f'--fields={ours}=COLUMN'
            )
        if not hits and given is not None:
            near = difflib.get_close_matches(given, found, 1)
            hint = f'; did you mean {ours}={near[0]}?' if near else ''
            raise UserError(
                f'{path}: --fields names the column {given!r} as {ours}, but the columns are '
                f'{listed}{hint}'
            )
        if hits and hits[0] not in chosen.values():
            chosen[ours] = hits[0]
    if 'path' not in chosen:
        raise UserError(
            f'{path}: must have a header with a column path, and optionally category and product, '
            f'got {listed}; other names are given by --fields=path=COLUMN,category=COLUMN'
        )
    return chosen


def note_unused(found: Sequence[str], names: Mapping[str, str], *, path: str) -> tuple[str, ...]:
    """Returns lines about columns that are not used because `--fields` does not name them."""
    if any(ours in names for ours in _OPTIONAL):
        return ()
    return tuple(
        f'the column {name} of {path} is not used; --fields=split={name} uses it'
        for name in found
        if _form(name) == 'split'
    )


def convert(
    table: Any, rows: npt.NDArray[np.int64], *, path: str
) -> tuple[Any, npt.NDArray[np.int64]]:
    """Returns the table with clean cells, without rows of which all cells are empty.

    `path` becomes large_string, or a list of it; other columns int64 or string.

    Args:
      table: A pyarrow table with columns of any type.
      rows: The number of each row in the file, for errors, int64 [rows].
      path: The list, for errors.

    Returns:
      The table, and the indices of the rows that remain, int64 [kept].

    Raises:
      UserError: If a column cannot be read as text or integers, or a row has no path.
    """
    import pyarrow as pa
    from pyarrow import compute

    columns = {}
    for name in table.column_names:
        column = table[name]
        if name == 'path':
            columns[name] = _path_column(column, path=path)
        else:
            columns[name] = _id_column(column, name, rows, path=path)
    table = pa.table(columns)
    kept = np.arange(table.num_rows)
    if table.num_rows and table['path'].null_count:
        empty = compute.is_null(table['path'])
        for name in table.column_names:
            empty = compute.and_(empty, compute.is_null(table[name]))
        blank = compute.and_(compute.is_null(table['path']), compute.invert(empty))
        if compute.any(blank).as_py():
            row = int(rows[compute.index(blank, pa.scalar(value=True)).as_py()])
            raise UserError(
                f'{path}: every row must have a path, but row {row} has none; add it, or remove '
                'the row'
            )
        table = table.filter(compute.invert(empty))
        kept = np.flatnonzero(~empty.to_numpy())
    return table, kept


def _path_column(column: Any, *, path: str) -> Any:
    """Returns paths as large_string, or as a list of it where a row has several."""
    import pyarrow as pa
    from pyarrow import compute

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (_is_text(kind.value_type if is_list else kind) or pa.types.is_null(kind)):
        raise UserError(f'{path}: the column path must be text or lists of text, got {kind}')
    if is_list:
        empty = compute.equal(compute.list_value_length(column), 0)
        column = column.cast(pa.list_(pa.large_string()))
        return compute.if_else(empty, pa.scalar(None, column.type), column)
    column = _stripped(column)
    if compute.any(compute.match_substring(column, '|')).as_py():
        return compute.split_pattern(column, '|').cast(pa.list_(pa.large_string()))
    return column


def _id_column(column: Any, name: str, rows: npt.NDArray[np.int64], *, path: str) -> Any:
    """Returns ids as int64 if all of them are integers, else as text."""
    import pyarrow as pa
    from pyarrow import compute

    kind = column.type
    if pa.types.is_floating(kind):
        column = compute.if_else(compute.is_nan(column), pa.scalar(None, kind), column)
        limit = pa.scalar(2.0 ** _EXACT_BITS[kind.bit_width])
        lost = compute.greater_equal(compute.abs(column.cast(pa.float64())), limit)
        _check_digits(column, lost, name, rows, path=path)
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        if pa.types.is_temporal(kind) or pa.types.is_boolean(kind):
            raise UserError(f'{path}: the column {name} must be integers or text, got {kind}')
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # not all are integers of 64 bits
            return column.cast(pa.large_string())
    if not _is_text(kind):
        raise UserError(f'{path}: the column {name} must be integers or text, got {kind}')
    column = _stripped(column)
    lost = compute.match_substring_regex(column, _SHORTENED)
    _check_digits(column, lost, name, rows, path=path)
    # With leading zeros, it is text: `007` is another product than `7`.
    are_integers = compute.match_substring_regex(column, r'^-?(0|[1-9][0-9]{0,17})(\.0+)?$')
    if compute.all(are_integers).as_py() is False:
        return column
    return compute.replace_substring_regex(column, r'\.0+$', '').cast(pa.int64())


def _check_digits(
    column: Any, lost: Any, name: str, rows: npt.NDArray[np.int64], *, path: str
) -> None:
    """Checks that no cell has lost digits, so that different ids would be one."""
    import pyarrow as pa
    from pyarrow import compute

    first = compute.index(lost, pa.scalar(value=True)).as_py()
    if first >= 0:
        raise UserError(
            f'{path}: the column {name} must have complete numbers, but row {rows[first]} has '
            f'{column[first].as_py()!r}, which has lost digits; format the column as text, and '
            'save it again'
        )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    # Some writers do not mark the text of Parquet files as text.
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(is_binary or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _stripped(column: Any) -> Any:
    """Returns text without spaces around it, and null where nothing is left."""
    import pyarrow as pa
    from pyarrow import compute

    column = compute.utf8_trim_whitespace(column.cast(pa.large_string()))
    empty = compute.equal(column, '')
    return compute.if_else(empty, pa.scalar(None, pa.large_string()), column)


def file_path(name: str, *, row: int, path: str) -> str:
    """Returns a path of a list as a path of this system.

    `file://` is removed, and a backslash separates folders as `/` does.

    Args:
      name: Path of a photo.
      row: Its row in the list, for errors.
      path: The list, for errors.

    Raises:
      UserError: If it is a URL, or on a drive of Windows.
    """
    if _URL.match(name):
        raise UserError(
            f'{path}: a path must be a file, but row {row} has a URL, {name!r}; download the '
            "photos, and give their paths relative to the list's folder"
        )
    if name[:7].lower() == 'file://':
        name = unquote(urlsplit(name).path)
        name = name[1:] if _DRIVE.match(name[1:]) else name
    if _DRIVE.match(name):
        raise UserError(
            f'{path}: a path must be on this machine, but row {row} has {name!r}, on a drive of '
            "Windows; give it relative to the list's folder"
        )
    name = name.replace('\\', '/')
    return name.removeprefix('./')


def _form(name: str) -> str:
    """Returns the form in which names of columns are compared."""
    return re.sub(r'[\s_-]', '', name).lower()
