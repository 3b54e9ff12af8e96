"""The name of a version folder: an int64 that is not negative, in digits."""

import re
from typing import NamedTuple

from catalog.errors import UserError

MAX_VERSION = (1 << 63) - 1  # ModelSpec.version is an int64

_DIGITS = re.compile('[0-9]+')
_MOST_DIGITS = 19  # Python refuses to convert thousands


class VersionFolder(NamedTuple):
    """The model and the version that a path names."""

    model: str
    version: int


def is_number(name: str) -> bool:
    """Returns whether a name has only digits, however many."""
    return bool(_DIGITS.fullmatch(name))


def read_version(name: str) -> int | None:
    """Returns the version that a folder's name is; None if it is no int64, or negative."""
    digits = name.lstrip('0') or '0'
    if not is_number(name) or len(digits) > _MOST_DIGITS or int(digits) > MAX_VERSION:
        return None
    return int(digits)


def read_path(path: str, *, flag: str) -> VersionFolder:
    """Returns what a path DIR/MODEL/VERSION names.

    Args:
      path: Local or remote.
      flag: The flag that gave it, for the message.

    Raises:
      UserError: If it does not end with a model and a version.
    """
    *_, model, name = ['', *path.rstrip('/').split('/')]
    version = read_version(name)
    if not model or version is None:
        raise UserError(
            f'--{flag} must be DIR/MODEL/VERSION with an integer version of at most {MAX_VERSION}, '
            f'because servers of models look for such folders, got {path!r}; for example '
            'models/shop/1'
        )
    return VersionFolder(model, version)
