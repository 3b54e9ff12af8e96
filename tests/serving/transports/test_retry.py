"""Which operations are repeated, when, and when not."""

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.clients import AsyncClient, Client, Code, ConnectionOptions, Retries, ServingError
from tests.ports import find_free_port
from tests.serving.peers import grpc_server, http_server

FAST = ConnectionOptions(retries=Retries(attempts=3, wait_seconds=0.01, max_wait_seconds=0.02))
GOOD = (200, {}, json.dumps({'outputs': [[0.5, 0.25]]}).encode())
BUSY = (503, {}, b'{"error": "busy"}')


def embed(address: str, transport: Any, *, is_async: bool, deadline_seconds: float = 60) -> Any:
    """Returns an embedding, from one of the two clients."""
    if not is_async:
        with Client(address, transport=transport, options=FAST) as client:
            return client.embed([b'x'], deadline_seconds=deadline_seconds).tolist()

    async def ask() -> Any:
        async with AsyncClient(address, transport=transport, options=FAST) as client:
            return (await client.embed([b'x'], deadline_seconds=deadline_seconds)).tolist()

    return asyncio.run(ask())


@pytest.mark.parametrize('is_async', [False, True])
@pytest.mark.parametrize(
    'answers',
    [
        [BUSY, BUSY, GOOD],
        [(429, {'Retry-After': '0'}, b'{"error": "queue"}'), GOOD],
        [(429, {'Retry-After': 'Thu, 01 Jan 1970 00:00:00 GMT'}, b'{}'), GOOD],
        [(502, {}, b'<html>'), GOOD],
    ],
)
def test_an_overloaded_server_is_asked_again(answers: Sequence[Any], is_async: bool) -> None:
    with http_server(*answers) as server:
        assert embed(server.address, 'rest', is_async=is_async) == [[0.5, 0.25]]
    assert len(server.seen) == len(answers)


@pytest.mark.parametrize('is_async', [False, True])
@pytest.mark.parametrize(
    ('answer', 'requests', 'code'),
    [
        (BUSY, 3, Code.UNAVAILABLE),  # all attempts
        ((429, {}, b'{"error": "quota"}'), 1, Code.RESOURCE_EXHAUSTED),
        ((429, {'Retry-After': '3600'}, b'{}'), 1, Code.RESOURCE_EXHAUSTED),  # after the deadline
        ((503, {'Retry-After': 'tomorrow'}, b'{}'), 3, Code.UNAVAILABLE),
        ((400, {'Retry-After': '0'}, b'{}'), 1, Code.INVALID_ARGUMENT),
        ((500, {}, b'{}'), 1, Code.INTERNAL),
        ((504, {}, b'{}'), 1, Code.DEADLINE_EXCEEDED),
        ((200, {}, b'null'), 1, Code.INTERNAL),
    ],
)
def test_other_errors_are_raised_at_once(
    answer: Any, requests: int, code: Code, is_async: bool
) -> None:
    with http_server(answer) as server, pytest.raises(ServingError) as caught:
        embed(server.address, 'rest', is_async=is_async)
    assert (len(server.seen), caught.value.code) == (requests, code)


@pytest.mark.parametrize('is_async', [False, True])
@pytest.mark.parametrize(
    ('code', 'pushback', 'requests'),
    [
        (grpc.StatusCode.UNAVAILABLE, None, 3),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, '1', 3),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, '3600000', 1),
        (grpc.StatusCode.INVALID_ARGUMENT, '1', 1),
    ],
)
def test_the_same_holds_over_grpc(
    code: grpc.StatusCode, pushback: str | None, requests: int, is_async: bool
) -> None:
    seen: list[Any] = []

    def respond(request: Any, context: grpc.ServicerContext) -> Any:
        seen.append(request)
        if len(seen) < 3:
            if pushback:
                context.set_trailing_metadata([('grpc-retry-pushback-ms', pushback)])
            context.abort(code, 'not now')
        response = predict_pb2.PredictResponse()
        values = np.array([[0.5, 0.25]], np.float32)
        response.outputs['embedding'].CopyFrom(tf.make_tensor_proto(values))
        return response

    with grpc_server(respond) as address:
        if requests == 3:
            assert embed(address, 'grpc', is_async=is_async) == [[0.5, 0.25]]
        else:
            with pytest.raises(ServingError, match=f'over gRPC: {code.name}: not now') as caught:
                embed(address, 'grpc', is_async=is_async)
            assert caught.value.code == code.value[0]
    assert len(seen) == requests


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_a_server_that_nobody_listens_at_is_unavailable(transport: str) -> None:
    with pytest.raises(ServingError) as caught:
        embed(f'127.0.0.1:{find_free_port()}', transport, is_async=False)
    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_threads_share_a_client(transport: Any) -> None:
    def respond(request: Any, context: grpc.ServicerContext) -> Any:
        response = predict_pb2.PredictResponse()
        response.outputs['text'].CopyFrom(request.inputs['text'])
        return response

    def ask(client: Client, text: str) -> None:
        outputs = client.predict('echo', {'text': [text]}, only_output='text', deadline_seconds=60)
        found.append(outputs['text'].tolist())

    found: list[Any] = []
    answer = (200, {}, b'{"outputs": ["a"]}')
    with (
        grpc_server(respond) as grpc_address,
        http_server(answer) as server,
        Client(server.address if transport == 'rest' else grpc_address, transport=transport) as c,
    ):
        threads = [threading.Thread(target=ask, args=[c, 'a']) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [['a']] * 8
