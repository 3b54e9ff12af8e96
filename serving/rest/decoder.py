"""Decodes the bodies of predict requests, large ones in a process of their own.

Python parses a JSON document while it holds its global lock: one of 100 MB would stop all other
requests for seconds.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from serving.protocol.status import Code, RequestError
from serving.rest_json import request as rest_request
from serving.rest_json.request import Decoded, Signatures

LARGE_BODY_BYTES = 4 << 20
BODIES_OF_A_PROCESS = 16  # then a new process replaces it, which returns its memory
_MAIN = """
import sys
from multiprocessing.connection import Connection
from serving.rest import decoder
decoder.decode_all(Connection(int(sys.argv[1])))
"""


def is_large(body: bytes) -> bool:
    """Returns whether a body is decoded in a process of its own."""
    return len(body) >= LARGE_BODY_BYTES


class Decoder:
    """Decodes bodies. Thread-safe; large bodies are decoded one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def decode(self, body: bytes, signatures: Signatures) -> Decoded:
        """Returns a decoded predict request.

        Raises:
          RequestError: As `rest_json.request.decode`; UNAVAILABLE if the process has died.
        """
        if not is_large(body):
            return rest_request.decode(body, signatures)
        with self._lock:
            if self._process is None:
                self._process = _Process()
            try:
                result = self._process.decode(body, signatures)
            except (EOFError, OSError) as error:
                self._stop()
                raise RequestError(
                    Code.UNAVAILABLE, f'the process that decodes large requests died: {error}'
                ) from error
            if self._process.bodies >= BODIES_OF_A_PROCESS:
                self._stop()
        if isinstance(result, RequestError):
            raise result
        return result

    def close(self) -> None:
        """Ends the process, if there is one."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._process:
            self._process.stop()
        self._process = None


class _Process:
    """A process that decodes bodies until `stop`, or until this process ends.

    Attributes:
      bodies: Number of bodies that it has decoded.
    """

    def __init__(self) -> None:
        self._connection, connection = multiprocessing.Pipe()
        # multiprocessing.Process would first run the server's main module once more in there.
        self._process = subprocess.Popen(
            [sys.executable, '-c', _MAIN, str(connection.fileno())],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            pass_fds=[connection.fileno()],
        )
        connection.close()  # so that its end is noticed
        self.bodies = 0

    def decode(self, body: bytes, signatures: Signatures) -> Decoded | RequestError:
        """Raises EOFError or OSError if the process ends."""
        self._connection.send({name: dict(types) for name, types in signatures.items()})
        self._connection.send_bytes(body)
        self.bodies += 1
        return self._connection.recv()

    def stop(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()


def decode_all(connection: 'Connection[Any, Any]') -> None:
    """Decodes the bodies that arrive on a connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    while True:
        try:
            signatures: Mapping[str, Mapping[str, int]] = connection.recv()
            body = connection.recv_bytes()
        except EOFError:
            return
        try:
            result: Decoded | RequestError = rest_request.decode(body, signatures)
        except RequestError as error:
            result = error
        except MemoryError:
            result = RequestError(Code.RESOURCE_EXHAUSTED, 'the request needs too much memory')
        connection.send(result)
