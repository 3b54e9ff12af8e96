"""Slow clients, large and compressed bodies, pages of other sites: at a real server."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.serving.colours import RED, b64, jpeg, save_version
from tests.serving.running import PREDICT, RunningServer, start_server

BODY = json.dumps({'instances': [b64(jpeg(RED))]}).encode()
POST = f'POST {PREDICT} HTTP/1.1\r\nHost: x\r\n'.encode()
UNFINISHED = {
    'silent': b'',
    'half a header': POST + b'Content-Le',
    'half a body': POST + b'Content-Length: 1000\r\n\r\n{',
    'half a chunked body': POST + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"ins',
}


@pytest.fixture(scope='module')
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that waits for two seconds and accepts a megabyte, and answers pages of any site."""
    base = tmp_path_factory.mktemp('colours')
    save_version(base, 1)
    server = start_server(
        base,
        '--request_read_seconds=2',
        '--max_request_bytes=1000000',
        '--rest_api_enable_cors_support',
    )
    yield server
    server.kill()


def connect(address: str) -> socket.socket:
    host, port = address.split(':')
    return socket.create_connection((host, int(port)), timeout=60)


def read_to_end(client: socket.socket) -> bytes:
    """Reads until the server closes the connection."""
    received = b''
    try:
        while data := client.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize('sent', UNFINISHED.values(), ids=UNFINISHED.keys())
def test_an_unfinished_request_ends_by_time_out_and_others_are_unaffected(
    strict: RunningServer, sent: bytes
) -> None:
    with connect(strict.rest) as client:
        client.sendall(sent)
        assert strict.raw_http('POST', PREDICT, BODY)[0] == 200
        assert read_to_end(client) == b''


def test_a_dripping_request_ends_by_time_out(strict: RunningServer) -> None:
    with connect(strict.rest) as client:
        client.sendall(POST + b'Content-Length: 1000\r\n\r\n')
        client.settimeout(0.2)
        for _ in range(300):
            try:
                client.sendall(b' ')
                assert client.recv(1) == b''
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail('the server waited for a request that dripped for a minute')


def test_a_connection_is_kept_between_requests(strict: RunningServer) -> None:
    request = POST + b'Content-Length: %d\r\n\r\n' % len(BODY) + BODY
    with connect(strict.rest) as client:
        for _ in range(2):
            client.sendall(request)
            received = b''
            while b'}\n]}\n' not in received:  # the end of the predictions
                received += client.recv(1 << 16)
            assert received.startswith(b'HTTP/1.1 200')


def test_a_silent_connection_over_grpc_ends_by_time_out(strict: RunningServer) -> None:
    with connect(strict.grpc) as client:
        read_to_end(client)


def test_an_unknown_model_is_reported_before_its_body_is_sent(strict: RunningServer) -> None:
    head = b'POST /v1/models/none:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 599000000\r\n\r\n'
    with connect(strict.rest) as client:
        client.sendall(head)
        assert client.recv(1 << 16).startswith(b'HTTP/1.1 404')


@pytest.mark.parametrize(
    'sent',
    [
        b'Content-Length: 1000001\r\n\r\n',
        b'Transfer-Encoding: chunked\r\n\r\nf4241\r\n' + b' ' * 1_000_001,
    ],
    ids=['declared', 'chunked'],
)
def test_a_body_that_is_too_large_is_status_413(strict: RunningServer, sent: bytes) -> None:
    with connect(strict.rest) as client:
        client.sendall(POST + sent)
        response = b''
        while b'"}' not in response:  # the end of the error
            response += client.recv(1 << 16)
    assert response.startswith(b'HTTP/1.1 413')
    assert b'a request must have at most 1000000 bytes (--max_request_bytes)' in response
    assert strict.raw_http('POST', PREDICT, BODY)[0] == 200


def test_a_message_that_is_too_large_is_resource_exhausted(strict: RunningServer) -> None:
    request = predict_pb2.PredictRequest()
    request.inputs['image_bytes'].string_val.append(bytes(1_000_001))
    with grpc.insecure_channel(strict.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize('encoding', ['gzip', 'x-gzip'])
def test_a_compressed_body_is_unzipped(strict: RunningServer, encoding: str) -> None:
    headers = {'Content-Encoding': encoding}
    plain = strict.raw_http('POST', PREDICT, BODY)
    assert strict.raw_http('POST', PREDICT, gzip.compress(BODY), headers) == plain


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        (b'plain', 'the body must be valid gzip data'),
        (gzip.compress(BODY)[:-20], 'the body must be complete gzip data'),
        (gzip.compress(bytes(101 << 20)), 'the body must unzip to at most 104857600 bytes'),
    ],
    ids=['plain', 'cut', 'bomb'],
)
def test_invalid_compressed_bodies_are_status_400(
    strict: RunningServer, body: bytes, reason: str
) -> None:
    status, response = strict.http('POST', PREDICT, body, {'Content-Encoding': 'gzip'})
    assert status == 400
    assert reason in response['error']


def test_what_is_not_http_is_answered_in_json(strict: RunningServer) -> None:
    with connect(strict.rest) as client:
        client.sendall(b'hello\r\n\r\n')
        head, _, body = read_to_end(client).partition(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 400')
    assert json.loads(body) == {'error': 'Invalid HTTP request received.'}


def test_pages_of_other_sites_may_send_requests(strict: RunningServer) -> None:
    for method, body in [('OPTIONS', b''), ('POST', BODY), ('POST', b'{')]:
        with connect(strict.rest) as client:
            client.sendall(
                f'{method} {PREDICT} HTTP/1.1\r\nHost: x\r\nOrigin: http://shop\r\n'
                f'Content-Length: {len(body)}\r\nConnection: close\r\n\r\n'.encode()
                + body
            )
            head = read_to_end(client).partition(b'\r\n\r\n')[0].decode().lower().split('\r\n')
        assert head[0] == ('http/1.1 400 bad request' if body == b'{' else 'http/1.1 200 ok')
        assert {
            'access-control-allow-origin: *',
            'access-control-allow-methods: post, get',
            'access-control-allow-headers: content-type',
        } < set(head)


def test_unfinished_requests_do_not_delay_the_end_of_the_server(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    with (tmp_path / 'stderr').open('w+') as stderr:
        server = start(tmp_path, '--request_read_seconds=600', stderr=stderr)
        clients = [connect(server.rest) for _ in UNFINISHED] + [connect(server.grpc)]
        for client, sent in zip(clients, UNFINISHED.values(), strict=False):
            client.sendall(sent)
        assert server.raw_http('POST', PREDICT, BODY)[0] == 200  # all data above was received
        assert server.stop() == 0
        assert [read_to_end(client) for client in clients[:-1]] == [b''] * len(UNFINISHED)
        stderr.seek(0)
        assert 'shutdown exceeded' not in stderr.read()
