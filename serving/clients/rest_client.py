"""Sends one request over REST, in the column format. Imports no TensorFlow."""

import http.client
import json
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
        raise UserError(f'{endpoint.address} over REST: must return named outputs, got {response}')
    if 'confidence' in outputs:
        outputs['confidence'] = json_values.round_to_float32(outputs['confidence'])
    return outputs


def readiness_error(endpoint: Endpoint, *, timeout_seconds: float) -> str:
    """Returns '' if the model is ready, otherwise the reason why not."""
    try:
        response = _call(endpoint, 'GET', '', body='', timeout_seconds=timeout_seconds)
    except UserError as error:
        return str(error)
    if any(status['state'] == 'AVAILABLE' for status in response['model_version_status']):
        return ''
    return endpoint.not_available


def _call(
    endpoint: Endpoint, method: str, verb: str, *, body: str, timeout_seconds: float
) -> dict[str, Any]:
    path = f'/v1/models/{quote(endpoint.model, safe="")}'
    if endpoint.version is not None:
        path += f'/versions/{endpoint.version}'
    where = f'{endpoint.address} over REST'
    try:
        status, content = _exchange(
            endpoint.address, method, path + verb, body=body, timeout_seconds=timeout_seconds
        )
    except TimeoutError as error:
        raise UserError(f'{where}: no response within {timeout_seconds:g} s') from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f'{where}: {error or type(error).__name__}') from error
    try:
        response: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise UserError(f'{where}: {status} {status.phrase}, not JSON') from error
    if status != HTTPStatus.OK:
        raise UserError(f'{where}: {status} {status.phrase}: {response.get("error")}')
    return response


def _exchange(
    address: str, method: str, path: str, *, body: str, timeout_seconds: float
) -> tuple[HTTPStatus, bytes]:
    deadline = time.monotonic() + timeout_seconds
    connection = http.client.HTTPConnection(address, timeout=timeout_seconds)
    try:
        connection.request(method, path, body, {'Content-Type': 'application/json'})
        connected = connection.sock  # a socket's timeout limits each wait, so it is set again
        connected.settimeout(_remaining(deadline))
        response = connection.getresponse()
        connected.settimeout(_remaining(deadline))
        content = response.read()
        _remaining(deadline)
        return HTTPStatus(response.status), content
    finally:
        connection.close()


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
