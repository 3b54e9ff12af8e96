"""Parses a JSON document as RapidJSON does in TensorFlow Serving.

Beyond the standard, NaN and Infinity are numbers, bytes that are not valid UTF-8 are kept, and of
equal keys the first one counts. Text behind the document is an error, and so is half of a
surrogate pair. Three differences remain: RapidJSON also accepts the spellings Inf and -NaN, it
limits the depth only by its stack, and it counts offsets in bytes.
"""

import json
import re
from typing import Any

from serving.protocol.status import RequestError, invalid_argument

_BYTE_ORDER_MARK = b'\xef\xbb\xbf'

# An escaped high surrogate that no escaped low one follows. An even number of backslashes before
# it would be escaped backslashes.
_HALF_PAIR = re.compile(
    r'(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})'
)

_MESSAGES = {  # Python's: RapidJSON's
    'Expecting value': 'Invalid value.',
    'Extra data': 'The document root must not be followed by other values.',
    'Expecting property name enclosed in double quotes': 'Missing a name for object member.',
    "Expecting ':' delimiter": 'Missing a colon after a name of object member.',
    "Expecting ',' delimiter": 'Missing a comma or a closing bracket after a value.',
    'Unterminated string starting at': 'Missing a closing quotation mark in string.',
    'Invalid \\escape': 'Invalid escape character in string.',
    'Invalid control character at': 'Invalid escape character in string.',
    'Invalid \\uXXXX escape': 'Incorrect hex digit after \\u escape in string.',
}


class Constant(float):
    """NaN or an infinity by its name; a number that is too large for a float is a plain one."""


class RepeatedKeys(dict[str, Any]):
    """An object with equal keys. As a dictionary, it has the first value of each.

    Attributes:
      members: Every key with its value, in order.
    """

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(members))
        self.members = members


def parse(body: bytes) -> Any:
    """Returns the value of a document; its strings may contain surrogate escapes.

    Raises:
      RequestError: INVALID_ARGUMENT.
    """
    if not body:
        raise invalid_argument('JSON Parse error: The document is empty')
    text = body.removeprefix(_BYTE_ORDER_MARK).decode('utf-8', 'surrogateescape')
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=Constant)
    except json.JSONDecodeError as error:
        reason = _MESSAGES.get(error.msg, error.msg)
        if not text.strip(' \t\r\n'):
            reason = 'The document is empty.'
        raise _error(reason, error.pos) from error
    except RecursionError as error:
        raise invalid_argument('JSON Parse error: The document is nested too deeply.') from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise invalid_argument(
            'JSON Parse error: Number too big to be stored in double.'
        ) from error
    if '\\u' in text and (half := _HALF_PAIR.search(text)):
        raise _error('The surrogate pair in string is invalid.', half.start())
    return value


def encode_text(text: str) -> bytes:
    """Returns the bytes of a string of a document."""
    try:
        return text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8, or a low surrogate
        try:
            return text.encode('utf-8', 'surrogateescape')
        except UnicodeEncodeError:
            return text.encode('utf-8', 'surrogatepass')


def _error(reason: str, offset: int) -> RequestError:
    return invalid_argument(f'JSON Parse error: {reason} at offset: {offset}')


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    return unique if len(unique) == len(members) else RepeatedKeys(members)
