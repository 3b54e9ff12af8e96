"""Counts the gRPC requests in progress, so that the server can stop as soon as they are complete.

`grpc.Server.stop` also waits for connections that are being opened, and for requests whose message
is incomplete.
"""

import threading
from collections.abc import Callable
from typing import Any

import grpc

SETTLING_SECONDS = 0.2  # without a request: one that waited for a thread would have begun


class InFlight(grpc.ServerInterceptor):  # type: ignore[misc]
    """Counts unary requests from their complete message to their sent response."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Returns the handler of a request; streams, that is health watches, are not counted."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self._counted(handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def wait_until_idle(self, timeout_seconds: float) -> None:
        """Waits until there is no request, at most the given time."""
        with self._changed:
            while self._changed.wait_for(lambda: not self._count, timeout_seconds):
                if not self._changed.wait_for(lambda: self._count, SETTLING_SECONDS):
                    return

    def _counted(self, method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def call(request: Any, context: Any) -> Any:
            self._add(1)
            if not context.add_callback(lambda: self._add(-1)):  # it has ended already
                self._add(-1)
            return method(request, context)

        return call

    def _add(self, change: int) -> None:
        with self._changed:
            self._count += change
            self._changed.notify_all()
