"""Schemes of object stores, and the parts of an object's path."""

import re
from collections.abc import Sequence

from catalog.errors import UserError

GS = 'gs://'
S3 = 's3://'
AZ = 'az://'
SCHEMES = (GS, S3, AZ)

_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*://')


def is_object(path: str) -> bool:
    """Returns whether a path is on an object store, rather than local.

    Raises:
      UserError: If it has a scheme that no store here has, such as `s3a://`: a local folder of that
        name would be a surprise.
    """
    if path.startswith(SCHEMES):
        return True
    if scheme := _SCHEME.match(path):
        raise UserError(unknown_scheme(path, scheme[0], SCHEMES))
    return False


def unknown_scheme(path: str, scheme: str, valid: Sequence[str]) -> str:
    """Returns the message for a path whose scheme is not one of the valid ones."""
    choices = f' or begin with {" or ".join(valid)}' if valid else ''
    return (
        f'must be a local path{choices}, got {scheme!r}; a local folder of such a name is ./{path}'
    )


def split(path: str) -> tuple[str, str, str]:
    """Splits `s3://bucket/folder/name` into ('s3://', 'bucket', 'folder/name').

    Raises:
      UserError: If a part is missing.
    """
    scheme = path[: path.index('://') + 3]
    bucket, _, name = path.removeprefix(scheme).partition('/')
    if not bucket or not name:
        raise UserError(f'an object must be named {scheme}BUCKET/NAME, got {path!r}')
    return scheme, bucket, name
