"""How many requests may be in the server; more are refused at once, with a hint when to retry."""

import contextlib
import threading
from collections.abc import Iterator

from serving.protocol.status import Code, RequestError

THREADS = 128  # of each transport; most of them wait for a run

_RESERVED = 4  # one thread in so many refuses requests and answers others


def max_requests(threads: int) -> int:
    """Returns how many requests may run and wait, so that threads are left to refuse others."""
    return max(1, threads - threads // _RESERVED)


class Admission:
    """A limit that all models share, so that each admitted request has a thread of its transport.

    Without one, requests would wait in the transport, where nothing bounds their number.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is the number of requests that may run and wait."""
        self._limit = limit
        self._lock = threading.Lock()
        self._inside = 0

    @contextlib.contextmanager
    def admit(self, *, retry_after_seconds: float) -> Iterator[None]:
        """Admits a request until the block ends.

        Raises:
          RequestError: RESOURCE_EXHAUSTED if there are too many.
        """
        with self._lock:
            if self._inside >= self._limit:
                raise too_many(f'{self._inside} requests are', retry_after_seconds)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1


def too_many(what: str, retry_after_seconds: float) -> RequestError:
    """Returns the error of a request that is refused because others are running and waiting."""
    return RequestError(
        Code.RESOURCE_EXHAUSTED,
        f'the server is overloaded: {what} already running or waiting; retry later',
        retry_after_seconds=retry_after_seconds,
    )
