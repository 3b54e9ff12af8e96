"""Asks one question over REST, in columns. Imports neither TensorFlow nor tensorflow_serving."""

import base64
import http.client
import json
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from catalog.errors import UserError
from serving.answers import Outputs, Question, Server, float32


def ask(server: Server, question: Question, *, timeout_seconds: float) -> Outputs:
    """The model's outputs.

    Raises:
      UserError: if the server does not answer in time, or answers with an error.
    """
    pictures = [{'b64': base64.b64encode(data).decode()} for data in question.pictures]
    inputs: dict[str, Any] = {'image_bytes': pictures}
    if question.product:
        inputs['product'] = question.product
    body = json.dumps({'signature_name': question.signature, 'inputs': inputs})
    answer = _call(server, 'POST', ':predict', body=body, timeout_seconds=timeout_seconds)
    outputs = answer.get('outputs')
    if not isinstance(outputs, dict):
        raise UserError(f'{server.address} over REST: must answer named outputs, got {answer}')
    if 'confidence' in outputs:
        outputs['confidence'] = float32(outputs['confidence'])
    return outputs


def why_not_ready(server: Server, *, timeout_seconds: float) -> str:
    """'' if the model is served now, else the reason why not."""
    try:
        answer = _call(server, 'GET', '', body='', timeout_seconds=timeout_seconds)
    except UserError as error:
        return str(error)
    if any(status['state'] == 'AVAILABLE' for status in answer['model_version_status']):
        return ''
    return f'{server.address} has no version of {server.model} available'


def _call(
    server: Server, method: str, verb: str, *, body: str, timeout_seconds: float
) -> dict[str, Any]:
    path = f'/v1/models/{quote(server.model, safe="")}'
    if server.version is not None:
        path += f'/versions/{server.version}'
    where = f'{server.address} over REST'
    try:
        status, content = _exchange(
            server.address, method, path + verb, body=body, timeout_seconds=timeout_seconds
        )
    except TimeoutError as error:
        raise UserError(f'{where}: must answer within {timeout_seconds:g} s, did not') from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f'{where}: {error or type(error).__name__}') from error
    try:
        answer: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise UserError(f'{where}: {status} {status.phrase}, not JSON') from error
    if status != HTTPStatus.OK:
        raise UserError(f'{where}: {status} {status.phrase}: {answer.get("error")}')
    return answer


def _exchange(
    address: str, method: str, path: str, *, body: str, timeout_seconds: float
) -> tuple[HTTPStatus, bytes]:
    end = time.monotonic() + timeout_seconds
    connection = http.client.HTTPConnection(address, timeout=timeout_seconds)
    try:
        connection.request(method, path, body, {'Content-Type': 'application/json'})
        wire = connection.sock  # a socket's time limit is for one wait, so it is set anew
        wire.settimeout(_left(end))
        response = connection.getresponse()
        wire.settimeout(_left(end))
        content = response.read()
        _left(end)
        return HTTPStatus(response.status), content
    finally:
        connection.close()


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
