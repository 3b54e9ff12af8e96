"""Requests that run until a file exists, so that a test can act while the server is busy."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.colours import predict_request
from tests.serving.running import PREDICT, RunningServer


def started_file(folder: Path) -> Path:
    """Returns the file that a slow request writes when it starts."""
    return folder / 'started'


def awaited_file(folder: Path) -> Path:
    """Returns the file that lets a slow request complete."""
    return folder / 'awaited'


def inputs(folder: Path) -> dict[str, str]:
    """Returns the inputs of a slow request."""
    return {'started_file': str(started_file(folder)), 'awaited_file': str(awaited_file(folder))}


def wait_over_rest(server: RunningServer, folder: Path) -> tuple[int, Any]:
    """Sends a slow request over REST; returns the HTTP status and the JSON body."""
    return server.http('POST', PREDICT, {'signature_name': 'wait', 'inputs': inputs(folder)})


def wait_over_grpc(server: RunningServer, folder: Path, *, timeout_seconds: float) -> Any:
    """Sends a slow request over gRPC and returns the response."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_request(inputs(folder), signature='wait')
        return stub.Predict(request, timeout=timeout_seconds)


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until a condition holds, at most 300 s."""
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, 'the condition did not hold within 300 s'
        time.sleep(0.05)
