"""Sends one request over REST, in the column format. Imports no TensorFlow."""

import http.client
import json
import socket
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from catalog.errors import UserError
from serving.clients.prediction import Outputs
from serving.clients.request import Endpoint, Request
from serving.protocol import json_values
from serving.protocol.names import IMAGE_BYTES, PRODUCT


def predict(endpoint: Endpoint, request: Request, *, timeout_seconds: float) -> Outputs:
    """Returns the model's outputs.

    Raises:
      UserError: If the server returns an error or does not respond in time.
    """
    pictures = [json_values.encode_bytes(data) for data in request.pictures]
    inputs: dict[str, Any] = {IMAGE_BYTES: pictures}
    if request.product:
        inputs[PRODUCT] = request.product
    body = json.dumps({'signature_name': request.signature, 'inputs': inputs})
    response = _call(endpoint, 'POST', ':predict', body=body, timeout_seconds=timeout_seconds)
    outputs = response.get('outputs')
    if not isinstance(outputs, dict):
        raise UserError(f'{_where(endpoint)}: must return named outputs, got {response}')
    try:
        if 'confidence' in outputs:
            outputs['confidence'] = json_values.round_to_float32(outputs['confidence'])
    except (TypeError, ValueError) as error:
        raise UserError(f'{_where(endpoint)}: confidence must be numbers: {error}') from error
    return outputs


def readiness_error(endpoint: Endpoint, *, timeout_seconds: float) -> str:
    """Returns '' if the model is ready, otherwise the reason why not."""
    try:
        response = _call(endpoint, 'GET', '', body='', timeout_seconds=timeout_seconds)
        states = [status['state'] for status in response['model_version_status']]
    except UserError as error:
        return str(error)
    except (KeyError, TypeError):
        return f'{_where(endpoint)}: must return model_version_status, got {response}'
    return '' if 'AVAILABLE' in states else endpoint.not_available


def _where(endpoint: Endpoint) -> str:
    return f'{endpoint.address} over REST'


def _call(
    endpoint: Endpoint, method: str, verb: str, *, body: str, timeout_seconds: float
) -> dict[str, Any]:
    path = f'/v1/models/{quote(endpoint.model, safe="")}'
    if endpoint.version is not None:
        path += f'/versions/{endpoint.version}'
    where = _where(endpoint)
    try:
        status, content = _exchange(
            endpoint.address, method, path + verb, body=body, timeout_seconds=timeout_seconds
        )
    except TimeoutError as error:
        raise UserError(f'{where}: no response within {timeout_seconds:g} s') from error
    except http.client.BadStatusLine as error:  # which holds the bytes that came
        raise UserError(
            f'{where}: must respond with HTTP, got another protocol; give the REST port, or '
            '--transport=grpc'
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f'{where}: {error or type(error).__name__}') from error
    reason = f'{status} {http.client.responses.get(status, "(unknown status)")}'
    try:
        response = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f'{where}: {reason}, not JSON') from error
    if not isinstance(response, dict):
        raise UserError(f'{where}: {reason}, not a JSON object')
    if status != HTTPStatus.OK:
        raise UserError(f'{where}: {reason}: {response.get("error")}')
    return response


class _DeadlineSocket(socket.socket):
    """A connected socket with one deadline. A socket's own timeout limits each wait instead."""

    def __init__(self, connected: socket.socket, *, deadline: float) -> None:
        super().__init__(fileno=connected.detach())
        self._deadline = deadline
        self.settimeout(_remaining(deadline))

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_remaining(self._deadline))
        return super().recv_into(*args, **kwargs)


def _exchange(
    address: str, method: str, path: str, *, body: str, timeout_seconds: float
) -> tuple[int, bytes]:
    deadline = time.monotonic() + timeout_seconds
    connection = http.client.HTTPConnection(address, timeout=timeout_seconds)
    try:
        connection.connect()
        connection.sock = _DeadlineSocket(connection.sock, deadline=deadline)
        connection.request(method, path, body, {'Content-Type': 'application/json'})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
