"""Reports what Dataflow's service refuses, or does not answer, in one line."""

import contextlib
from collections.abc import Iterator

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError

from catalog.errors import UserError
from catalog.stores import sentences


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Raises an error of the service as a `UserError`, when Beam has repeated the request in vain.

    Args:
      what: What does not work, such as `cannot submit the job`.
    """
    try:
        yield
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise UserError(f'Dataflow: {what}: {sentences.from_google_error(error)}') from error
