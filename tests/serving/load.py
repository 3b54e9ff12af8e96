"""Clients that send requests to a running server until they are told to stop."""

import collections
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import psutil
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.colours import b64, predict_request
from tests.serving.running import PREDICT, RunningServer

OK, REFUSED = 'OK', 'RESOURCE_EXHAUSTED'


@dataclass
class Results:
    """What came of the requests.

    Attributes:
      outcomes: Number of requests by status.
      answers: Number of requests by the predicted confidences.
      hints: Number of refusals with a hint when to retry.
    """

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    answers: collections.Counter[tuple[float, ...]] = field(default_factory=collections.Counter)
    hints: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str, answer: tuple[float, ...] | None, *, hint: bool = False) -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            self.hints += hint
            if answer is not None:
                self.answers[answer] += 1


@contextmanager
def clients(
    server: RunningServer, picture: bytes, *, rest: int, grpc_clients: int, pause: float = 0
) -> Iterator[Results]:
    """Runs clients, each of which sends its next request after an answer and a pause in seconds."""
    results, stop = Results(), threading.Event()
    threads = [
        threading.Thread(target=send, args=[server, picture, results, stop, pause])
        for send, count in [(_send_rest, rest), (_send_grpc, grpc_clients)]
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=300)
    assert not any(thread.is_alive() for thread in threads), 'a request never completed'


def memory_bytes(server: RunningServer) -> int:
    """Returns the resident memory of the server and its child processes."""
    process = psutil.Process(server.process.pid)
    everyone = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in everyone)


def _answer(confidences: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in confidences)  # float noise of batches


def _send_rest(
    server: RunningServer, picture: bytes, results: Results, stop: threading.Event, pause: float
) -> None:
    body = json.dumps({'instances': [b64(picture)]})
    connection = http.client.HTTPConnection(server.rest, timeout=300)
    while not stop.is_set():
        connection.request('POST', PREDICT, body)
        response = connection.getresponse()
        content = json.loads(response.read())
        if response.status == 200:
            results.add(OK, _answer(content['predictions'][0]['confidence']))
        else:
            outcome = REFUSED if response.status == 429 else f'HTTP {response.status}: {content}'
            results.add(outcome, None, hint='Retry-After' in response.headers)
        stop.wait(pause)
    connection.close()


def _send_grpc(
    server: RunningServer, picture: bytes, results: Results, stop: threading.Event, pause: float
) -> None:
    request = predict_request({'image_bytes': [picture]})
    with grpc.insecure_channel(
        server.grpc, options=[('grpc.use_local_subchannel_pool', 1)]
    ) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        while not stop.is_set():
            try:
                response = stub.Predict(request, timeout=300)
                results.add(OK, _answer(response.outputs['confidence'].float_val))
            except grpc.RpcError as error:
                name = error.code().name
                outcome = name if name == REFUSED else f'{name}: {error.details()}'
                metadata = dict(error.trailing_metadata() or [])
                results.add(outcome, None, hint='grpc-retry-pushback-ms' in metadata)
            stop.wait(pause)
