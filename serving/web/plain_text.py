"""Text from outside, such as names of files and categories, as Markdown that shows it unchanged."""

import re

from catalog import terminal

# CommonMark: a backslash before any ASCII punctuation character shows that character.
_PUNCTUATION = re.compile(r'([!-/:-@\[-`{-~])')


def markdown(text: str) -> str:
    r"""Returns Markdown that is shown as `text`: `*a*` becomes `\*a\*`."""
    return _PUNCTUATION.sub(r'\\\1', ' '.join(terminal.escape(text).split()))


def path(names: list[str]) -> str:
    """Returns the Markdown of a category's path, level 1 first."""
    return ' › '.join(markdown(name) for name in names)
