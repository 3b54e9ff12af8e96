"""The exception for a user's mistake, and the suggestion of what was meant."""

import difflib
from collections.abc import Iterable

_NEAR = 0.7  # of difflib's ratio


class UserError(ValueError):
    """A mistake in flags, configuration, files or data.

    Its message is one line: the subject, the rule, the actual value, and how to fix it. A command
    prints it without a stack trace and exits with code 2. Any other exception is a bug.
    """


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Returns ` (did you mean …?)` with the nearest of the valid names; empty if none is near."""
    nearest = difflib.get_close_matches(name, list(choices), n=1, cutoff=_NEAR)
    return f' (did you mean {nearest[0]!r}?)' if nearest else ''
