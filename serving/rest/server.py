"""Listens for REST requests and runs the ASGI application in a thread of its own."""

import functools
import socket
import threading
from typing import Any

import uvicorn

from serving.listening import listener
from serving.listening.connection import Connection

KEEP_ALIVE_SECONDS = 60  # between two requests on one connection
SEND_SECONDS = 30  # for a client that does not receive its response


def bind(host: str, port: int) -> socket.socket:
    """Returns a bound socket that does not listen yet: it refuses clients until the model loads.

    Raises:
      UserError: If the port is in use.
    """
    rest_socket = listener.bind(host, port, flag='--rest_api_port')
    if hasattr(socket, 'TCP_USER_TIMEOUT'):  # Linux; connections inherit it
        milliseconds = SEND_SECONDS * 1000
        rest_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return rest_socket


class RestServer:
    """Serves an ASGI application on a bound socket until `stop`."""

    def __init__(
        self,
        application: Any,
        rest_socket: socket.socket,
        *,
        grace_seconds: int,
        read_seconds: float,
        max_request_bytes: int,
    ) -> None:
        """Serves from `start` on.

        Args:
          application: The ASGI application.
          rest_socket: The socket to listen on.
          grace_seconds: Time for accepted requests after `stop`.
          read_seconds: Time to receive a request (`connection.Connection`).
          max_request_bytes: Limit of the body of a request.
        """
        connection: Any = functools.partial(
            Connection, read_seconds=read_seconds, max_request_bytes=max_request_bytes
        )
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(
                application,
                http=connection,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                log_level='warning',
                lifespan='off',
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self._thread = threading.Thread(
            target=self.uvicorn.run, kwargs={'sockets': [rest_socket]}, name='rest'
        )

    def start(self) -> None:
        """Returns when requests are accepted."""
        self._thread.start()
        while not self.uvicorn.started and self._thread.is_alive():
            self._thread.join(0.01)

    def stop(self) -> None:
        """Accepts no more requests; does not wait for the accepted ones."""
        self.uvicorn.should_exit = True

    def join(self) -> None:
        """Waits until the accepted requests have completed, or their time is up."""
        self._thread.join()
