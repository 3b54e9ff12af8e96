"""Text for terminals: escaped, so that text from outside cannot control them, and counted."""

import re

# Line and paragraph separators; characters that set the direction of text (Unicode TR 36).
_INVISIBLE = '\u2028-\u202e\u2066-\u2069'

_CONTROLS = re.compile(f'[\x00-\x1f\x7f-\x9f{_INVISIBLE}]')  # C0, DEL and C1

# Tab and line feed are kept. Surrogates stand for bytes of a file name that are not UTF-8.
_ESCAPED = re.compile(f'[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]')


def escape(text: str) -> str:
    r"""Returns text with control characters as `\x1b`, except tab and line feed."""
    return _ESCAPED.sub(lambda found: found[0].encode('unicode_escape').decode(), text)


def counted(number: int, noun: str) -> str:
    """Returns a number with a noun, in the plural unless it is 1."""
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def has_controls(text: str) -> bool:
    """Returns whether text contains control characters, also tab, line feed and Unicode's."""
    return _CONTROLS.search(text) is not None
