"""Parses JSON of unknown origin into values that are read with a type.

`parse` limits the nesting and the size of numbers, so that whatever it returns can be compared,
copied and printed.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from catalog.errors import UserError

_MOST_DEPTH = 16
_MAX_INT64 = 2**63 - 1
_MOST_DIGITS = 19  # of an int64
_MOST_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Value:
    """A value of a document.

    Attributes:
      path: Path of the file.
      key: Place in the document, as `splits.train.shards[0].file`.
      content: The parsed value.
    """

    path: str
    key: str
    content: Any

    def error(self, rule: str) -> UserError:
        """Returns the error that this value breaks a rule, such as 'be an array'."""
        shown = repr(self.content)
        if len(shown) > _MOST_SHOWN:
            shown = shown[:_MOST_SHOWN] + '...'
        place = f' {self.key}' if self.key else ''
        return UserError(f'{self.path}:{place} must {rule}, got {shown}')

    def fields(self) -> dict[str, 'Value']:
        """Returns the values of an object by name."""
        if not isinstance(self.content, dict):
            raise self.error('be an object')
        return {name: self._part(name, content) for name, content in self.content.items()}

    def field(self, name: str) -> 'Value':
        """Returns a value of an object."""
        if not isinstance(self.content, dict):
            raise self.error('be an object')
        if name not in self.content:
            raise UserError(f'{self.path}: {self._name(name)} must exist, got none')
        return self._part(name, self.content[name])

    def items(self) -> Iterator['Value']:
        """Yields the values of an array."""
        if not isinstance(self.content, list):
            raise self.error('be an array')
        for index, content in enumerate(self.content):
            yield Value(self.path, f'{self.key}[{index}]', content)

    def text(self) -> str:
        """Returns a string."""
        if not isinstance(self.content, str):
            raise self.error('be a string')
        return self.content

    def natural(self) -> int:
        """Returns an integer of at least 0."""
        if type(self.content) is not int or self.content < 0:
            raise self.error('be an integer of at least 0')
        return self.content

    def fraction(self) -> float:
        """Returns a number in [0, 1]."""
        if type(self.content) not in (int, float) or not 0 <= self.content <= 1:
            raise self.error('be a number in [0, 1]')
        return float(self.content)

    def _part(self, name: str, content: Any) -> 'Value':
        return Value(self.path, self._name(name), content)

    def _name(self, name: str) -> str:
        name = name if len(name) <= _MOST_SHOWN else name[:_MOST_SHOWN] + '...'
        return f'{self.key}.{name}' if self.key else name


def parse(data: bytes, *, path: str) -> Value:
    """Parses a JSON document.

    Args:
      data: The document.
      path: Names the file in errors.

    Raises:
      UserError: If it is not JSON, is nested too deep, or has a number that is not finite or an
        integer beyond int64.
    """
    try:
        content = json.loads(data, parse_int=_integer, parse_float=_float, parse_constant=_constant)
    except RecursionError:
        raise _depth_error(path) from None
    except ValueError as error:
        raise UserError(f'{path}: must be JSON, got: {error}') from error
    _check_depth(content, path)
    return Value(path, '', content)


def _integer(text: str) -> int:
    if len(text.removeprefix('-')) > _MOST_DIGITS or abs(int(text)) > _MAX_INT64:
        raise ValueError(f'an integer beyond int64, {text[:_MOST_DIGITS]}...')
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f'a number that is not finite, {text[:_MOST_SHOWN]}')
    return number


def _constant(text: str) -> float:
    raise ValueError(f'a number that is not finite, {text}')


def _check_depth(content: Any, path: str) -> None:
    level = [content]
    for _ in range(_MOST_DEPTH):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise _depth_error(path)


def _parts(value: Any) -> list[Any]:
    """Returns the objects and arrays within a value."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return []
    return [part for part in value if isinstance(part, (dict, list))]


def _depth_error(path: str) -> UserError:
    return UserError(f'{path}: must be nested at most {_MOST_DEPTH} levels deep, got more')
