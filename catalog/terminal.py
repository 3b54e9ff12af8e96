"""Escapes text from outside, so that it cannot control the terminal that shows it."""

import re

_CONTROLS = re.compile('[\x00-\x1f\x7f-\x9f]')  # C0, DEL and C1

# Controls except tab and line feed; marks that override the direction of text (Unicode TR 36); line
# and paragraph separators; surrogates, which stand for bytes of a file name that are not UTF-8.
_ESCAPED = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def escape(text: str) -> str:
    r"""Returns text with control characters as `\x1b`, except tab and line feed."""
    return _ESCAPED.sub(lambda found: found[0].encode('unicode_escape').decode(), text)


def has_controls(text: str) -> bool:
    """Returns whether text contains control characters, tab and line feed included."""
    return _CONTROLS.search(text) is not None
