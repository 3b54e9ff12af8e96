"""The REST client and servers that misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from catalog.errors import UserError
from serving.clients import rest_client
from serving.clients.request import Endpoint, Request

REQUEST = Request(paths=('a.jpg',), pictures=(b'\xff\xd8',), signature='serving_default')


@contextmanager
def responding(respond: Callable[[socket.socket], None]) -> Iterator[Endpoint]:
    """Yields the endpoint of a server that answers one connection with `respond`."""
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                respond(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Endpoint(f'127.0.0.1:{listener.getsockname()[1]}', 'colours')
        thread.join()


def response(status: str, body: str) -> bytes:
    return f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}'.encode()


@pytest.mark.parametrize(
    ('status', 'body', 'reason'),
    [
        ('499 Client Closed Request', '{"error": "x"}', r'over REST: 499 \(unknown status\): x'),
        ('520 Unknown', '<html>', r'over REST: 520 \(unknown status\), not JSON'),
        ('200 OK', 'null', 'over REST: 200 OK, not a JSON object'),
        ('200 OK', '{"outputs": [1]}', 'over REST: must return named outputs'),
        ('200 OK', '{"outputs": {"confidence": ["x"]}}', 'over REST: confidence must be numbers'),
    ],
)
def test_an_unexpected_response_is_a_user_error(status: str, body: str, reason: str) -> None:
    data = response(status, body)
    with (
        responding(lambda peer: peer.sendall(data)) as endpoint,
        pytest.raises(UserError, match=reason),
    ):
        rest_client.predict(endpoint, REQUEST, timeout_seconds=60)


def test_a_status_without_versions_is_not_ready() -> None:
    data = response('200 OK', '{"state": "AVAILABLE"}')
    with responding(lambda peer: peer.sendall(data)) as endpoint:
        reason = rest_client.readiness_error(endpoint, timeout_seconds=60)
    assert 'must return model_version_status, got' in reason


@pytest.mark.parametrize('prefix', [b'', b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'])
def test_a_server_that_sends_byte_by_byte_does_not_extend_the_deadline(prefix: bytes) -> None:
    sent: list[bool] = []

    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(prefix)
            for _ in range(200):  # 10 s
                connection.sendall(b'x')
                time.sleep(0.05)
            sent.append(True)
        except OSError:
            sent.append(False)  # the client has closed the connection

    with responding(drip) as endpoint, pytest.raises(UserError, match=r'no response within 0\.3 s'):
        rest_client.predict(endpoint, REQUEST, timeout_seconds=0.3)
    assert sent == [False]
