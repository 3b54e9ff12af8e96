"""Whatever a server sends, a client returns a result or raises its one exception."""

import asyncio
import contextlib
import gzip
import pickle
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tensorflow_serving.apis import predict_pb2

from serving.clients import AsyncClient, Client, Code, ConnectionOptions, Retries, ServingError
from tests.serving.peers import grpc_server, http_response, raw_server

ONCE = ConnectionOptions(retries=Retries(attempts=1))
PICTURE = b'\xff\xd8'


def classify(address: str, transport: Any, *, deadline_seconds: float = 60) -> ServingError:
    """Returns the error of a sync client, and checks that the async one has the same."""

    async def ask() -> ServingError:
        async with AsyncClient(address, transport=transport, options=ONCE) as client:
            with pytest.raises(ServingError) as caught:
                await client.classify([PICTURE], deadline_seconds=deadline_seconds)
        return caught.value

    with (
        Client(address, transport=transport, options=ONCE) as client,
        pytest.raises(ServingError) as caught,
    ):
        client.classify([PICTURE], deadline_seconds=deadline_seconds)
    error, other = caught.value, asyncio.run(ask())
    assert (str(error), error.code) == (str(other), other.code)
    return error


JSON = {
    '499 Client Closed Request': ('{"error": "x"}', Code.CANCELLED, '499 (unknown status): x'),
    '520 Unknown': ('<html>', Code.UNKNOWN, '520 (unknown status), not JSON'),
    '400 Bad Request': ('{"error": "bad picture"}', Code.INVALID_ARGUMENT, 'bad picture'),
    '404 Not Found': ('{"error": null}', Code.NOT_FOUND, '404 Not Found: None'),
    '401 Unauthorized': ('[]', Code.UNAUTHENTICATED, '401 Unauthorized, not a JSON object'),
    '429 Too Many Requests': ('{"error": "x"}', Code.RESOURCE_EXHAUSTED, '429 Too Many'),
    '501 Not Implemented': ('{}', Code.UNIMPLEMENTED, '501 Not Implemented: None'),
    '503 Service Unavailable': ('busy', Code.UNAVAILABLE, '503 Service Unavailable, not JSON'),
    '302 Found': ('', Code.UNKNOWN, '302 Found, not JSON'),
}


@pytest.mark.parametrize('status', JSON)
def test_the_code_of_a_status_is_kept(status: str) -> None:
    body, code, text = JSON[status]
    with raw_server(lambda peer: peer.sendall(http_response(status, body))) as address:
        error = classify(address, 'rest')
    assert str(error).startswith(f'{address} over REST: ')
    assert text in str(error)
    assert (error.code, error.http_status) == (code, int(status[:3]))


OUTPUTS = '"label": [[1]], "category_id": [[7]], "confidence": %s, "level1": %s'


@pytest.mark.parametrize(
    'body',
    [
        '',
        'null',
        '[]',
        '1',
        '{"outputs": {"label": [[1]]',
        '<!DOCTYPE html><html>',
        '\xff\xfe',
        '[' * 200_000,
        '{"outputs": null}',
        '{"outputs": [1]}',
        '{"outputs": {}}',
        '{"outputs": {"confidence": ["x"]}}',
        '{"outputs": {"label": [[1], [2, 3]]}}',
        '{"outputs": {"label": ' + '[' * 70 + '1' + ']' * 70 + '}}',
        '{"outputs": {"label": [[18446744073709551616]]}}',
        '{"outputs": {' + OUTPUTS % ('[[1e400]]', '[[7]]') + '}}',
        '{"outputs": {' + OUTPUTS % ('[[0.5]]', '[["A", "B"]]') + '}}',
        '{"outputs": {' + OUTPUTS % ('[[0.5], [0.5]]', '[["A"]]') + '}}',
        '{"outputs": {' + OUTPUTS % ('[[0.5]]', '[[{"b64": "!"}]]') + '}}',
    ],
)
def test_an_invalid_body_is_an_error(body: str) -> None:
    data = http_response('200 OK', body.encode('latin-1'))
    with raw_server(lambda peer: peer.sendall(data)) as address:
        error = classify(address, 'rest')
    assert error.code is Code.INTERNAL
    assert len(str(error)) < 600


def test_a_compressed_body_that_is_damaged_is_an_error() -> None:
    damaged = gzip.compress(b'{"outputs": {}}')[:-9] + b'x'
    data = http_response('200 OK', damaged, 'Content-Encoding: gzip')
    with raw_server(lambda peer: peer.sendall(data)) as address:
        assert classify(address, 'rest').code is Code.INTERNAL


@pytest.mark.parametrize(
    ('data', 'code'),
    [
        (b'', Code.UNAVAILABLE),
        (b'HTTP/1.1 200 OK\r\nContent-Le', Code.UNAVAILABLE),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"o', Code.UNAVAILABLE),
        (bytes([0, 0, 24, 4, *bytes(8), 63, 255, 255]), Code.UNKNOWN),  # of HTTP/2
        (b'SSH-2.0-OpenSSH_9.6\r\n', Code.UNAVAILABLE),
    ],
)
def test_a_response_that_ends_early_or_is_not_http_is_an_error(data: bytes, code: Code) -> None:
    with raw_server(lambda peer: peer.sendall(data)) as address:
        assert classify(address, 'rest').code is code


@pytest.mark.parametrize('data', [b'', http_response('200 OK', '{}'), b'\0' * 100])
def test_what_is_not_grpc_is_an_error(data: bytes) -> None:
    with raw_server(lambda peer: peer.sendall(data)) as address:
        error = classify(address, 'grpc', deadline_seconds=5)
    assert error.code in (Code.UNAVAILABLE, Code.UNKNOWN, Code.INTERNAL, Code.DEADLINE_EXCEEDED)
    assert str(error).startswith(f'{address} over gRPC: {error.code.name}: ')


@pytest.mark.parametrize(
    'fill',
    [
        lambda outputs: None,
        lambda outputs: setattr(outputs['label'], 'dtype', 11),  # DT_QINT8
        lambda outputs: outputs['label'].tensor_shape.dim.add(size=-1),
        lambda outputs: _text(outputs['level1'], b'\xff'),
    ],
)
def test_invalid_outputs_over_grpc_are_an_error(fill: Callable[[Any], None]) -> None:
    response = predict_pb2.PredictResponse()
    fill(response.outputs)
    with grpc_server(lambda request, context: response) as address:
        assert classify(address, 'grpc').code is Code.INTERNAL


def _text(tensor: Any, value: bytes) -> None:
    tensor.dtype = 7  # DT_STRING
    tensor.string_val.append(value)


def drip(connection: socket.socket, prefix: bytes, done: threading.Event) -> bool:
    """Sends a byte every 50 ms; returns whether the client closes the connection before `done`."""
    connection.settimeout(0.05)
    try:
        connection.sendall(prefix)
        while not done.is_set():
            connection.sendall(prefix[-1:] or b'H')
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1 << 16):
                    return True
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    'prefix', [b'', b'HTTP/1.1 200 OK\r\nX: 1', b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n ']
)
def test_a_server_that_sends_byte_by_byte_does_not_extend_the_deadline(prefix: bytes) -> None:
    done, closed = threading.Event(), []
    with raw_server(lambda peer: closed.append(drip(peer, prefix, done))) as address:
        error = classify(address, 'rest', deadline_seconds=0.3)
        done.set()
    assert error.code is Code.DEADLINE_EXCEEDED
    assert str(error) == f'{address} over REST: no response within 0.3 s'
    assert closed == [True, True]


@pytest.mark.parametrize('prefix', [b'', b'\0\0\0\4\0\0\0\0\0'], ids=['bytes', 'settings'])
def test_a_dripping_server_does_not_extend_the_deadline_over_grpc(prefix: bytes) -> None:
    done = threading.Event()
    with raw_server(lambda peer: drip(peer, prefix, done) and None) as address:
        error = classify(address, 'grpc', deadline_seconds=0.3)
        done.set()
    assert error.code is Code.DEADLINE_EXCEEDED


def test_the_exception_can_be_sent_to_another_process() -> None:
    with raw_server(lambda peer: peer.sendall(http_response('404 Not Found', '{}'))) as address:
        error = classify(address, 'rest')
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.code, copy.http_status) == (str(error), Code.NOT_FOUND, 404)
