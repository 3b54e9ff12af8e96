"""Finds Google's default credentials once, before a client searches for them again and again."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from catalog.errors import UserError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

ADVICE = (
    'gcloud auth application-default login creates them, or GOOGLE_APPLICATION_CREDENTIALS names '
    'the file of a key'
)
_NONE = 'default credentials were not found'  # in google.auth's message


def find(service: str, *, scopes: Sequence[str]) -> 'Credentials':
    """Returns the credentials of a file, of gcloud, or of the machine's metadata server.

    Args:
      service: What needs them, such as `Dataflow`.
      scopes: What they are for, as OAuth names it.

    Raises:
      UserError: If there are none, or a file holds something else.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    logger = logging.getLogger('google.auth')
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of each request that no metadata server answers
    try:
        found: Any = google.auth.default(scopes=list(scopes))[0]
    except GoogleAuthError as error:
        reason = ' '.join(str(error).split())
        got = 'none' if _NONE in reason else f'an error: {reason.rstrip(".")}'
        raise UserError(f'{service} needs Google credentials, got {got}; {ADVICE}') from error
    finally:
        logger.setLevel(level)
    return found
