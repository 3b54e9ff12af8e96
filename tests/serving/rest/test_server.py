"""The sockets of the REST server."""

import http.client
import socket
from collections.abc import Iterator

import pytest

from serving.models.loading import Loader
from serving.models.models import Models
from serving.rest import app, server
from serving.rest.decoder import Decoder


@pytest.fixture
def running() -> Iterator[tuple[server.RestServer, int]]:
    """A server in this process, without a loaded model, and its port."""
    models = Models(loader=Loader(), report=print)
    options = app.RestOptions(timeout_seconds=30, max_request_bytes=1 << 20, cors=False)
    application = app.build_application(models, Decoder(), options)
    with server.bind('127.0.0.1', 0) as rest_socket:
        running_server = server.RestServer(
            application, rest_socket, grace_seconds=5, read_seconds=20, max_request_bytes=1 << 20
        )
        running_server.start()
        yield running_server, rest_socket.getsockname()[1]
        running_server.stop()
        running_server.join()


def test_accepted_connections_do_not_wait_for_acknowledgements(
    running: tuple[server.RestServer, int],
) -> None:
    running_server, port = running
    client = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    client.request('GET', '/v1/models/colours')
    assert client.getresponse().status == 404
    (connection,) = running_server.uvicorn.server_state.connections
    accepted = connection.transport.get_extra_info('socket')
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()
