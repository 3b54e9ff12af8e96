"""A connection of an HTTP server, which ends if its client sends too slowly or nothing."""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MIN_BYTES_PER_SECOND = 500  # of a client that sends a request, on average
CLOSING_SECONDS = 2  # for a request that is incomplete when the server stops


class Connection(H11Protocol):
    """HTTP/1.1 with a time limit for receiving a request.

    A request, from the connection or its first byte to its last one, must arrive within
    `read_seconds`, and one second more for each MIN_BYTES_PER_SECOND received. Otherwise the
    connection is closed. The time between two requests is uvicorn's keep-alive time.
    """

    def __init__(
        self, *args: Any, read_seconds: float, max_request_bytes: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._read_seconds = read_seconds
        self._max_request_bytes = max_request_bytes
        self._started: float | None = None  # when the server began to wait for the request
        self._received = 0  # bytes of it
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts the bytes of the request."""
        if self._started is None:
            self._wait_for_request()
        self._received += len(data)
        if self._is_discarding() and self._received > 2 * self._max_request_bytes:
            self.transport.abort()
            return
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Lets the next request begin at its first byte."""
        if not self._is_discarding():
            self._stop_timer()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Closes the connection after the response, or soon if its request is incomplete."""
        super().shutdown()
        if self._is_receiving():
            self.loop.call_later(CLOSING_SECONDS, self._close_if_receiving)

    def send_400_response(self, msg: str) -> None:
        """Answers a request that is no HTTP, in JSON as all errors."""
        body = json.dumps({'error': msg}).encode()
        headers = [
            (b'content-type', b'application/json'),
            (b'content-length', str(len(body)).encode()),
            (b'connection', b'close'),
        ]
        events: list[h11.Event] = [
            h11.Response(status_code=400, headers=headers, reason=b'Bad Request'),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b'')
        self.transport.close()

    def _wait_for_request(self) -> None:
        self._started = self.loop.time()
        self._received = 0
        self._check_time()

    def _check_time(self) -> None:
        if self._started is None or not (self._is_receiving() or self._is_discarding()):
            return
        limit = self._read_seconds + self._received / MIN_BYTES_PER_SECOND
        remaining = self._started + limit - self.loop.time()
        if remaining <= 0:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(remaining, self._check_time)

    def _stop_timer(self) -> None:
        self._started = None
        if self._timer:
            self._timer.cancel()

    def _close_if_receiving(self) -> None:
        if self._is_receiving():
            self.transport.abort()

    def _is_receiving(self) -> bool:
        """Returns whether the next or the present request is incomplete, and unanswered."""
        if self.cycle is None or self.cycle.response_complete:
            return not self._is_discarding()
        return self.cycle.more_body

    def _is_discarding(self) -> bool:
        """Returns whether the rest of a request arrives that is answered already."""
        answered = self.cycle is not None and self.cycle.response_complete
        return answered and self.conn.their_state is h11.SEND_BODY
