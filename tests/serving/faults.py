"""Clients that misbehave: each function sends one fault and returns when it is answered.

The connections that a fault leaves open are closed by the server.
"""

import gzip
import json
import socket
from collections.abc import Callable

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.colours import b64, predict_request
from tests.serving.running import PREDICT, RunningServer

BOMB = gzip.compress(bytes(101 << 20))
HEAD = f'POST {PREDICT} HTTP/1.1\r\nHost: x\r\n'.encode()

Fault = Callable[[RunningServer], object]


def connect(address: str) -> socket.socket:
    host, port = address.split(':')
    return socket.create_connection((host, int(port)), timeout=60)


def unfinished(sent: bytes) -> Fault:
    """Returns a fault that sends a part of a request and keeps its connection open."""

    def send(server: RunningServer) -> socket.socket:
        client = connect(server.rest)
        client.sendall(sent)
        return client

    return send


def broken_off(sent: bytes) -> Fault:
    """Returns a fault that sends a part of a request and resets its connection."""

    def send(server: RunningServer) -> None:
        with connect(server.rest) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            client.sendall(sent)

    return send


def posted(
    body: bytes, status: int, *, path: str = PREDICT, headers: dict[str, str] | None = None
) -> Fault:
    """Returns a fault that is a complete request, and checks the status of its answer."""

    def send(server: RunningServer) -> None:
        got, content = server.http('POST', path, body, headers)
        assert (got, list(content)) == (status, ['error'])

    return send


def over_grpc(server: RunningServer) -> None:
    request = predict_request({'image_bytes': [b'no picture']})
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


gzip_bomb = posted(BOMB, 400, headers={'Content-Encoding': 'gzip'})  # unpacks to 101 MiB

FAULTS: list[Fault] = [
    unfinished(b''),
    unfinished(HEAD + b'Content-Le'),
    unfinished(HEAD + b'Content-Length: 1000\r\n\r\n{'),
    broken_off(HEAD + b'Content-Length: 1000000\r\n\r\n' + bytes(100_000)),
    posted(b'{"instances": [', 400),
    posted(b'{"instances": ' + b'[' * 5000 + b']' * 5000 + b'}', 400),
    posted(b'{"instances": [' + b'9' * 5000 + b']}', 400),
    posted(json.dumps({'instances': [b64(b'no picture')]}).encode(), 400),
    posted(json.dumps({'instances': ['x' * (5 << 20)]}).encode(), 400),  # decoded elsewhere
    gzip_bomb,
    posted(bytes(2_000_000), 404, path='/v1/models/none:predict'),
    posted(b'{}', 400, path=f'/v1/models/colours/versions/{"9" * 5000}:predict'),
    posted(b'{}', 501, path='/v1/models/colours:classify'),
    over_grpc,
]
