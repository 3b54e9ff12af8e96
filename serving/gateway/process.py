"""The server process: a bound port, and a graceful end."""

import contextlib
import functools
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from serving.intake.options import Limits
from serving.listening.connection import Connection
from serving.listening.listener import Listener, bind

KEEP_ALIVE_SECONDS = 30  # between two requests on one connection


class _Server(uvicorn.Server):
    """Ends with the exit code 0 after SIGTERM; uvicorn would raise the signal again."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        unready_seconds: float,
        stopping: threading.Event,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._unready_seconds = unready_seconds
        self._stopping = stopping
        self._closing_at = math.inf  # as time.monotonic()
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops on the first signal, and ends at once on a second Ctrl-C."""
        before = {
            number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        if number == signal.SIGTERM and not self._stopping.is_set():
            self._closing_at = time.monotonic() + self._unready_seconds
        else:
            self.should_exit = True
        self._stopping.set()

    async def on_tick(self, counter: int) -> bool:
        """Stops accepting connections when the time after SIGTERM is over; called all 0.1 s."""
        if time.monotonic() >= self._closing_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Reports the address once the port accepts connections."""
        await super().startup(sockets)
        self._on_ready()


def serve(
    application: Any,
    listener: Listener,
    limits: Limits,
    *,
    stopping: threading.Event,
    on_ready: Callable[[str], None],
) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers the received requests.

    Args:
      application: The ASGI application.
      listener: Where to listen.
      limits: Times of requests.
      stopping: Set by the first signal; connections are accepted for `unready_seconds` after it.
      on_ready: Receives the address once the port accepts requests.

    Raises:
      UserError: If the port is in use.
    """
    with bind(listener.host, listener.port) as bound:
        config = uvicorn.Config(
            application,
            http=functools.partial(  # type: ignore[arg-type]
                Connection,
                read_seconds=limits.upload_seconds + 1,  # after the error of a slow body
                max_request_bytes=limits.body_bytes,
            ),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(limits.drain_seconds),
            ssl_certfile=listener.tls_cert,
            ssl_keyfile=listener.tls_key,
        )
        server = _Server(
            config,
            unready_seconds=limits.unready_seconds,
            stopping=stopping,
            on_ready=lambda: on_ready(listener.url(bound.getsockname()[1])),
        )
        server.run(sockets=[bound])
