"""Google's product taxonomy: a line `ID - NAME > NAME > …` for each node, inner nodes too.

https://www.google.com/basepages/producttype/taxonomy-with-ids.en-US.txt
"""

import re

from catalog.errors import UserError
from catalog.trees import rows
from catalog.trees.rows import Row

_LINE = re.compile(r'(\d+) - (.+)')


def recognize(text: str) -> bool:
    """Returns whether the first line is that of Google's file, or like its other lines."""
    first = text.lstrip().partition('\n')[0].strip()
    return first.startswith('# Google') or _LINE.fullmatch(first) is not None


def parse(text: str, *, path: str) -> list[Row]:
    """Parses a taxonomy; each line is a category.

    Raises:
      UserError: With the line number, if a line is of another form.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith('#'):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(
                f"{path}, line {number}: a line of Google's taxonomy must be 'ID - NAME > NAME', "
                f'got {line!a}; the file with ids is taxonomy-with-ids'
            )
        names = [name.strip() for name in match[2].split(' > ')]
        if not all(names):
            raise UserError(f'{path}, line {number}: a name must not be empty, got {line!a}')
        found.append(rows.row(match[1], names, path=path, line=number))
    return found
