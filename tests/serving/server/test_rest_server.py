"""The sockets of the REST server."""

import http.client
import socket
from collections.abc import Iterator

import pytest

from serving.models.loading import Loader
from serving.models.models import Models
from serving.server import rest_app, rest_server


@pytest.fixture
def running() -> Iterator[tuple[rest_server.RestServer, int]]:
    """A server in this process, without a loaded model, and its port."""
    models = Models(loader=Loader(), report=print)
    application = rest_app.build_application(models, timeout_seconds=30)
    with rest_server.bind('127.0.0.1', 0) as rest_socket:
        server = rest_server.RestServer(application, rest_socket, grace_seconds=5)
        server.start()
        yield server, rest_socket.getsockname()[1]
        server.stop()
        server.join()


def test_accepted_connections_do_not_wait_for_acknowledgements(
    running: tuple[rest_server.RestServer, int],
) -> None:
    server, port = running
    client = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    client.request('GET', '/v1/models/colours')
    assert client.getresponse().status == 404
    (connection,) = server.uvicorn.server_state.connections
    accepted = connection.transport.get_extra_info('socket')
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()
