"""Category ids: integers, or codes with a stable number each."""

import re
from collections.abc import Sequence

from catalog import product_key
from catalog.errors import UserError
from catalog.trees.rows import Row

_INTEGER = re.compile(r'([+-]?[0-9]+)(\.0+)?')  # spreadsheets write 7 as 7.0
_OBJECT_ID = re.compile(r'ObjectId\(["\']?([0-9a-f]{24})["\']?\)')  # as mongoexport writes it
_NUMBER_LIKE = re.compile(r'[-+0-9_.,\' ]+')
SHORTENED_NUMBER = r'[+-]?[0-9]+(?:[.,][0-9]+)?[Ee]\+[0-9]{2,}'  # as spreadsheets show long ones
_MAX_CODE = 256  # characters
_RULE_64_BITS = 'fit in 64 bits, or be a code with a letter'


def parse_integer(text: str) -> int | None:
    """Returns text as an integer, or None if it is not one; 7.0 is 7."""
    match = _INTEGER.fullmatch(text.strip())
    return int(match[1]) if match and len(match[1]) < 1000 else None


def normalize_code(text: str) -> str:
    """Returns a code in the form in which codes compare; that of an ObjectId is its digits."""
    object_id = _OBJECT_ID.fullmatch(text.strip())
    return object_id[1] if object_id else product_key.normalize(text.strip())


def code_number(code: str) -> int:
    """Returns the number of a code, the same in every data set."""
    return product_key.stable_number('category', code)


def parse_ids(rows: Sequence[Row], *, path: str) -> tuple[list[int], tuple[str, ...] | None]:
    """Returns the number of each row, and the codes if the ids are not all integers.

    Raises:
      UserError: With the line number, if an id is not usable or repeats.
    """
    numbers = [parse_integer(row.id) for row in rows]
    if None not in numbers:
        integers = [number for number in numbers if number is not None]
        for row, number in zip(rows, integers, strict=True):
            if not -(2**63) <= number < 2**63:
                raise _error(row, _RULE_64_BITS, row.id.strip(), path=path)
        _check_unique(rows, integers, path=path)
        return integers, None
    codes = [normalize_code(row.id) for row in rows]
    for row, code, integer in zip(rows, codes, numbers, strict=True):
        mixed = len(numbers) > numbers.count(None)
        if mixed and integer is None and _NUMBER_LIKE.fullmatch(code):
            raise _error(row, 'be an integer, as others of this file', row.id, path=path)
        if re.fullmatch(SHORTENED_NUMBER, code):
            rule = 'be complete, so formatted as text'
            raise _error(row, rule, row.id, path=path, more=', which has lost digits')
        if not 1 <= len(code) <= _MAX_CODE:
            raise _error(row, f'have 1 to {_MAX_CODE} characters', row.id, path=path)
    _check_unique(rows, codes, path=path)
    hashes = [code_number(code) for code in codes]
    _check_unique(rows, hashes, path=path)
    return hashes, tuple(codes)


def _check_unique(rows: Sequence[Row], ids: Sequence[int | str], *, path: str) -> None:
    lines: dict[int | str, int] = {}
    for row, id_ in zip(rows, ids, strict=True):
        first = lines.setdefault(id_, row.line)
        if first != row.line:
            raise _error(row, 'be unique', id_, path=path, more=f' again (first on line {first})')


def _error(row: Row, rule: str, got: int | str, *, path: str, more: str = '') -> UserError:
    shown = got if isinstance(got, int) or len(got) < 100 else got[:100] + '…'
    return UserError(f'{path}, line {row.line}: category_id must {rule}, got {shown!r}{more}')
