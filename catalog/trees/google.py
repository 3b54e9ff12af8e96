"""Google's product taxonomy: a line for each node, inner nodes too, with ids or without.

`ID - NAME > NAME > …` or `NAME > NAME > …`. Without ids, the paths are the ids, as codes.

https://www.google.com/basepages/producttype/taxonomy-with-ids.en-US.txt
https://www.google.com/basepages/producttype/taxonomy.en-US.txt
"""

import re

from catalog.errors import UserError
from catalog.trees import rows
from catalog.trees.rows import Row

_LINE = re.compile(r'(\d+) - (.+)')


def recognize(text: str) -> bool:
    """Returns whether the first line is that of Google's file, or like its lines with ids."""
    first = text.lstrip().partition('\n')[0].strip()
    return first.startswith('# Google') or _LINE.fullmatch(first) is not None


def parse(text: str, *, path: str) -> list[Row]:
    """Parses a taxonomy; each line is a category.

    Raises:
      UserError: With the line number, if a line is of another form than the first.
    """
    found = []
    has_ids: bool | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith('#'):
            continue
        match = _LINE.fullmatch(line.strip())
        if has_ids is None:
            has_ids = match is not None
        if has_ids != (match is not None):
            rule = 'ID - NAME > NAME' if has_ids else 'NAME > NAME, without an id'
            raise UserError(
                f"{path}, line {number}: a line of Google's taxonomy must be {rule!r} as the first "
                f'one is, got {line!a}'
            )
        names = [name.strip() for name in (match[2] if match else line).split(' > ')]
        if not all(names):
            raise UserError(f'{path}, line {number}: a name must not be empty, got {line!a}')
        id_text = match[1] if match else ' > '.join(names)
        found.append(rows.row(id_text, names, path=path, line=number))
    return found
