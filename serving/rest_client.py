"""Asks one question over REST, in columns. Imports neither TensorFlow nor tensorflow_serving."""

import base64
import http.client
import json
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
    connection = http.client.HTTPConnection(server.address, timeout=timeout_seconds)
    where = f'{server.address} over REST'
    try:
        connection.request(method, path + verb, body, {'Content-Type': 'application/json'})
        response = connection.getresponse()
        content = response.read()
    except TimeoutError as error:
        raise UserError(f'{where}: must answer within {timeout_seconds:g} s, did not') from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f'{where}: {error or type(error).__name__}') from error
    finally:
        connection.close()
    try:
        answer: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise UserError(f'{where}: {response.status} {response.reason}, not JSON') from error
    if response.status != http.client.OK:
        raise UserError(f'{where}: {response.status} {response.reason}: {answer.get("error")}')
    return answer
