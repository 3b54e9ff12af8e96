"""The rows of a tree file: the id and the path of names of each category."""

from dataclasses import dataclass
from unicodedata import normalize

from catalog import terminal
from catalog.errors import UserError

MAX_LEVELS = 8


@dataclass(frozen=True)
class Row:
    """A category.

    Attributes:
      line: Its line in the file, from 1.
      id: The text of its id.
      names: The names from the top level down, in Unicode's normal form C.
    """

    line: int
    id: str
    names: tuple[str, ...]


def row(id_text: str, names: list[str], *, path: str, line: int) -> Row:
    """Returns a checked row; empty names at the end of a path are dropped.

    Raises:
      UserError: If a name is missing or has control characters, or there are too many.
    """
    for cell in (id_text, *names):
        if terminal.has_controls(cell):
            raise UserError(
                f'{path}, line {line}: a name must have no control characters, got {cell!a}'
            )
    while names and not names[-1].strip():
        names = names[:-1]
    if not all(name.strip() for name in names):
        raise UserError(
            f'{path}, line {line}: only the end of a path may be empty, got {" > ".join(names)!r}'
        )
    if not 1 <= len(names) <= MAX_LEVELS:
        raise UserError(
            f'{path}, line {line}: a category must have 1 to {MAX_LEVELS} names, got {len(names)}'
        )
    return Row(line, id_text, tuple(normalize('NFC', name) for name in names))


def decode(data: bytes, *, path: str) -> str:
    """Returns the text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
      UserError: With the line, if the file is in another encoding, or is no text.
    """
    encoding = 'utf-16' if data.startswith((b'\xff\xfe', b'\xfe\xff')) else 'utf-8-sig'
    if encoding != 'utf-16' and b'\0' in data:
        raise UserError(
            f'{path}: must be text in UTF-8, or in UTF-16 with a byte order mark, got binary data; '
            'save it as CSV'
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == 'utf-16':
            raise UserError(f'{path}: must be UTF-8, got damaged UTF-16') from error
        start = error.start
        line = data.count(b'\n', 0, start) + 1
        raise UserError(
            f'{path}, line {line}: must be UTF-8, got byte 0x{data[start]:02x}; save it as UTF-8'
        ) from error
