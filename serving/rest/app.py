"""TensorFlow Serving's REST API as an ASGI application.

Specification: https://www.tensorflow.org/tfx/serving/api_rest.
"""

import functools
import logging
import math
from dataclasses import dataclass
from typing import Any

import anyio
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.batching.admission import THREADS, too_many
from serving.models import info
from serving.models.models import Models
from serving.models.spec import ModelSpec
from serving.protocol.status import HTTP_STATUS, Code, RequestError, free_locals
from serving.rest import paths
from serving.rest.bodies import BodyReader, BodyTooLarge
from serving.rest.decoder import Decoder, is_large
from serving.rest_json import response as rest_response
from serving.rest_json.request import Signatures

CORS_HEADERS = {  # tensorflow_serving/model_servers/http_rest_api_util.cc
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': 'POST, GET',
    'Access-Control-Allow-Headers': 'Content-Type',
}
LARGE_REQUESTS = 2  # at the same time: one is decoded while the model runs another
_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']


@dataclass(frozen=True)
class RestOptions:
    """Options of the REST API.

    Attributes:
      timeout_seconds: Time limit of one model run.
      max_request_bytes: Limit of a request's body.
      threads: Requests that are handled at once; more are refused.
      cors: Whether pages of any site may send requests.
    """

    timeout_seconds: float
    max_request_bytes: int
    cors: bool = False
    threads: int = THREADS


def build_application(models: Models, decoder: Decoder, options: RestOptions) -> Starlette:
    """Builds the application."""
    reader = BodyReader(options.max_request_bytes)
    predictor = _Predictor(models, decoder, options)

    async def endpoint(request: Request) -> Response:
        if options.cors and request.method == 'OPTIONS':
            return Response(headers=CORS_HEADERS)
        response = await _respond(request, models, reader, predictor)
        if options.cors:
            response.headers.update(CORS_HEADERS)
        return response

    return Starlette(routes=[Route('/{path:path}', endpoint, methods=_METHODS)])


class _Predictor:
    """Decodes predict requests and runs models in threads, as many as there may be."""

    def __init__(self, models: Models, decoder: Decoder, options: RestOptions) -> None:
        self._models = models
        self._decoder = decoder
        self._options = options
        self._admission = anyio.CapacityLimiter(options.threads)
        self._pool = anyio.CapacityLimiter(options.threads)
        self._large_pool = anyio.CapacityLimiter(LARGE_REQUESTS)

    async def predict(self, spec: ModelSpec, body: bytes, signatures: Signatures) -> bytes:
        """Returns the body of a response.

        Raises:
          RequestError: RESOURCE_EXHAUSTED if too many requests are running and waiting, or the
            reason of a failure.
        """
        task = object()
        try:
            self._admission.acquire_on_behalf_of_nowait(task)
        except anyio.WouldBlock as error:
            self._models.metrics.refused.add(1, 'REST')
            message = f'{self._options.threads} REST requests are'
            raise too_many(message, retry_after_seconds=1) from error
        try:
            # Large bodies have threads of their own: they wait for their turn to be decoded.
            limiter = self._large_pool if is_large(body) else self._pool
            run = functools.partial(self._run, spec, body, signatures)
            return await anyio.to_thread.run_sync(run, limiter=limiter)
        finally:
            self._admission.release_on_behalf_of(task)

    def _run(self, spec: ModelSpec, body: bytes, signatures: Signatures) -> bytes:
        with self._models.metrics.observe(spec.name, api='predict', entrypoint='REST'):
            decoded = self._decoder.decode(body, signatures)
            with self._models.use(spec) as loaded:
                outputs = loaded.model.run(
                    decoded.signature_name,
                    decoded.inputs,
                    timeout_seconds=self._options.timeout_seconds,
                )
            return rest_response.format_outputs(outputs, rows=decoded.rows)


async def _respond(
    request: Request, models: Models, reader: BodyReader, predictor: '_Predictor'
) -> Response:
    """Returns the response; every error is one in JSON."""
    path = _path(request)
    try:
        if not paths.is_api(path):
            return _error(404, f'there is nothing at {path}; paths begin with /v1/models/')
        call = paths.parse(request.method, path)
        if call.verb != 'predict':
            status = _status if call.verb == 'status' else _metadata
            return _json(await run_in_threadpool(status, models, call.spec))
        signatures = _signatures(models, call.spec)  # before the body: an unknown model is an error
        async with reader.read(request) as body:
            content = await predictor.predict(call.spec, body, signatures)
        return _json(content)
    except RequestError as error:
        free_locals(error)
        return _error(HTTP_STATUS[error.code], error.message, error.retry_after_seconds)
    except BodyTooLarge as error:
        return _error(413, str(error))
    except ClientDisconnect:  # nobody receives this
        return _error(HTTP_STATUS[Code.CANCELLED], 'the client closed the connection')
    except Exception as error:
        logging.exception('a request failed by an error of the server')
        return _error(500, f'{type(error).__name__}, see the log')


def _path(request: Request) -> str:
    path: str = request.scope['raw_path'].decode('ascii', 'replace')
    query: str = request.scope['query_string'].decode('ascii', 'replace')
    return f'{path}?{query}' if query else path


def _json(content: bytes) -> Response:
    return Response(content, media_type='application/json')


def _error(status: int, message: str, retry_after_seconds: float | None = None) -> Response:
    response = Response(rest_response.format_error(message), status, media_type='application/json')
    if retry_after_seconds is not None:
        response.headers['Retry-After'] = str(max(1, math.ceil(retry_after_seconds)))
    return response


def _signatures(models: Models, spec: ModelSpec) -> Signatures:
    with models.use(spec) as loaded:
        return {
            name: {key: tensor.dtype for key, tensor in signature.inputs.items()}
            for name, signature in loaded.model.signatures.items()
        }


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
