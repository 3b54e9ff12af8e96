"""TensorFlow Serving's HTTP paths as an ASGI application.

Specification: https://www.tensorflow.org/tfx/serving/api_rest.
"""

import math
import re
from typing import Any
from urllib.parse import unquote

import anyio
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.batching.admission import THREADS, too_many
from serving.models import info
from serving.models.models import Models
from serving.models.spec import MAX_VERSION, ModelSpec
from serving.protocol.names import DEFAULT_SIGNATURE
from serving.protocol.status import HTTP_STATUS, Code, RequestError, invalid_argument
from serving.rest_json import request as rest_request
from serving.rest_json import response as rest_response
from serving.runtimes.saved_model import input_types

_MODEL = r'/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?'
_POST = re.compile(rf'{_MODEL}:(?P<verb>predict|classify|regress)', re.IGNORECASE | re.ASCII)
_GET = re.compile(rf'{_MODEL}(?:/(?P<verb>metadata))?', re.IGNORECASE | re.ASCII)
# All except GET and POST return 400, as in TensorFlow Serving.
_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']


def build_application(
    models: Models, *, timeout_seconds: float, threads: int = THREADS
) -> Starlette:
    """Builds the application.

    Args:
      models: The models.
      timeout_seconds: Time limit of each run of a model.
      threads: Requests that are handled at once; more are refused.
    """
    admission, pool = anyio.CapacityLimiter(threads), anyio.CapacityLimiter(threads)

    async def respond(request: Request, path: str, body: bytes) -> bytes:
        try:
            admission.acquire_on_behalf_of_nowait(request)
        except anyio.WouldBlock as error:
            models.metrics.refused.add(1, 'REST')
            raise too_many(f'{threads} REST requests are', retry_after_seconds=1) from error
        try:
            return await anyio.to_thread.run_sync(
                _respond, models, request.method, path, body, timeout_seconds, limiter=pool
            )
        finally:
            admission.release_on_behalf_of(request)

    async def endpoint(request: Request) -> Response:
        path = request.scope['raw_path'].decode('ascii', 'replace')
        try:
            body = await request.body()
            content = await respond(request, path, body)
        except RequestError as error:
            return _error(error)
        except ClientDisconnect:
            return _json(b'', status=HTTP_STATUS[Code.CANCELLED])  # the client has gone
        return _json(content)

    return Starlette(routes=[Route('/v1/{path:path}', endpoint, methods=_METHODS)])


def _error(error: RequestError) -> Response:
    response = _json(rest_response.format_error(error.message), status=HTTP_STATUS[error.code])
    if error.retry_after_seconds is not None:
        response.headers['Retry-After'] = str(max(1, math.ceil(error.retry_after_seconds)))
    return response


def _json(content: bytes, *, status: int = 200) -> Response:
    return Response(content, status, media_type='application/json')


def _respond(models: Models, method: str, path: str, body: bytes, timeout_seconds: float) -> bytes:
    pattern = {'GET': _GET, 'POST': _POST}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if not match:
        raise invalid_argument(f'Malformed request: {method} {path}')
    version = match['version']
    if version and int(version) > MAX_VERSION:
        raise invalid_argument(f'Failed to convert version: {version} to numeric.')
    spec = ModelSpec(
        name=unquote(match['name']),
        version=int(version) if version else None,
        label=unquote(match['label']) if match['label'] else None,
    )
    match (match['verb'] or 'status').lower():
        case 'status':
            return _status(models, spec)
        case 'metadata':
            return _metadata(models, spec)
        case 'predict':
            with models.metrics.observe(spec.name, api='predict', entrypoint='REST'):
                return _predict(models, spec, body, timeout_seconds)
        case verb:
            raise RequestError(Code.UNIMPLEMENTED, f'{verb} is not implemented; use predict')


def _predict(models: Models, spec: ModelSpec, body: bytes, timeout_seconds: float) -> bytes:
    request = rest_request.parse(body)
    name = request.signature_name or DEFAULT_SIGNATURE
    with models.use(spec) as loaded:
        signature = loaded.model.signatures.get(name)
        if signature is None or not signature.inputs:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        inputs = rest_request.build_inputs(request, input_types(signature))
        outputs = loaded.model.run(name, inputs, timeout_seconds=timeout_seconds)
    return rest_response.format_outputs(outputs, rows=request.rows)


def _status(models: Models, spec: ModelSpec) -> bytes:
    return _proto_json(info.build_status(models, spec)).encode()


def _metadata(models: Models, spec: ModelSpec) -> bytes:
    response = info.build_metadata(models, spec, fields=[info.SIGNATURE_DEF])
    signatures = info.unpack_signatures(response)
    return (
        f'{{\n"model_spec": {_proto_json(response.model_spec)},\n'
        f'"metadata": {{"signature_def": {_proto_json(signatures)}}}\n}}\n'
    ).encode()


def _proto_json(message: Any) -> str:
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
