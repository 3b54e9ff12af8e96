"""The REST transport for programs without an event loop: it has one in a thread of its own."""

import contextlib
import functools
import weakref
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
        stack = contextlib.ExitStack()
        self._portal = stack.enter_context(start_blocking_portal())
        # After Ctrl-C, the operation that was interrupted is still running.
        stack.callback(self._portal.call, self._portal.stop, True)
        stack.callback(self._portal.call, self._transport.close)
        # Also at the end of the program: a thread that is left would keep it from ending.
        self._close = weakref.finalize(self, stack.close)

    def call(
        self, operation: Operation[Result], *, deadline_seconds: float, retries: Retries
    ) -> Result:
        """Returns the result of an operation.

        Raises:
          ServingError: If it fails.
          ValueError: If the client is closed.
        """
        if not self._close.alive:
            raise ValueError('the client is closed')
        call = functools.partial(
            self._transport.call, operation, deadline_seconds=deadline_seconds, retries=retries
        )
        return self._portal.call(call)

    def close(self) -> None:
        """Closes the connections and ends the thread; cancels what is running."""
        self._close()
