"""Servers that misbehave on purpose, on real sockets: over HTTP, gRPC and raw bytes."""

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tensorflow_serving.apis import predict_pb2


@contextlib.contextmanager
def raw_server(respond: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yields the address of a server that responds to each connection with `respond`."""
    stopping = threading.Event()
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def serve() -> None:
            while not stopping.is_set():
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    if not stopping.is_set():
                        connection.recv(1 << 16)
                        respond(connection)
                        connection.shutdown(socket.SHUT_WR)
                        connection.settimeout(1)
                        while connection.recv(1 << 16):  # else unread bytes reset the connection
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f'127.0.0.1:{listener.getsockname()[1]}'
        stopping.set()
        socket.create_connection(listener.getsockname()).close()  # ends the last accept
        thread.join()


def http_response(status: str, body: str | bytes, *headers: str) -> bytes:
    """Returns the bytes of a response."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f'HTTP/1.1 {status}', f'Content-Length: {len(content)}', *headers]
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + content


class HttpServer(http.server.ThreadingHTTPServer):
    """Responds with one of its answers after the other; the last one again and again.

    Attributes:
      answers: Status, headers and body of each response.
      seen: The headers of each request.
      connections: Number of connections.
    """

    daemon_threads = True

    def __init__(self, answers: Sequence[tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.answers = list(answers)
        self.seen: list[dict[str, str]] = []
        self.connections = 0

    @property
    def address(self) -> str:
        return f'127.0.0.1:{self.server_port}'

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that close the connection."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: HttpServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get('content-length', 0)))
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Logs nothing."""


@contextlib.contextmanager
def http_server(
    *answers: tuple[int, dict[str, str], bytes], context: ssl.SSLContext | None = None
) -> Iterator[HttpServer]:
    """Yields a running server, with TLS if a context is given."""
    server = HttpServer(answers)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def grpc_server(
    respond: Callable[[Any, grpc.ServicerContext], Any], *, credentials: Any = None
) -> Iterator[str]:
    """Yields the address of a server whose method Predict is `respond`."""
    method = grpc.unary_unary_rpc_method_handler(
        respond,
        request_deserializer=predict_pb2.PredictRequest.FromString,
        response_serializer=predict_pb2.PredictResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler(
        'tensorflow.serving.PredictionService', {'Predict': method}
    )
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    if credentials:
        port = server.add_secure_port('localhost:0', credentials)
    else:
        port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    try:
        yield f'localhost:{port}' if credentials else f'127.0.0.1:{port}'
    finally:
        server.stop(None).wait()
