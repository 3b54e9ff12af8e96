"""The REST transport for programs without an event loop: it has one in a thread of its own."""

import contextlib
import functools
from typing import TypeVar

from anyio.from_thread import start_blocking_portal

from serving.operations.endpoint import Endpoint
from serving.operations.operation import Operation
from serving.transports.options import ConnectionOptions, Retries
from serving.transports.rest_transport import RestTransport

Result = TypeVar('Result')


class BlockingRestTransport:
    """The REST API of a server. Threads may share it.

    Args:
      endpoint: The model.
      options: How to connect.
    """

    def __init__(self, endpoint: Endpoint, options: ConnectionOptions) -> None:
        self._transport = RestTransport(endpoint, options)
        self._stack = contextlib.ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._stack.callback(self._portal.call, self._transport.close)

    def call(
        self, operation: Operation[Result], *, deadline_seconds: float, retries: Retries
    ) -> Result:
        """Returns the result of an operation.

        Raises:
          ServingError: If it fails.
        """
        call = functools.partial(
            self._transport.call, operation, deadline_seconds=deadline_seconds, retries=retries
        )
        return self._portal.call(call)

    def close(self) -> None:
        """Closes the connections and ends the thread."""
        self._stack.close()
