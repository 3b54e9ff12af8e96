"""The gRPC services: PredictionService, ModelService and health, with the official protos.

Protos: tensorflow_serving/apis/{prediction,model}_service.proto and grpc.health.v1. Implements
Predict, GetModelMetadata, GetModelStatus and HandleReloadConfigRequest; every other method returns
UNIMPLEMENTED.
"""

import functools
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy.typing as npt
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from catalog.errors import UserError
from serving.config import models as model_configs
from serving.models import info
from serving.models.models import Models
from serving.models.spec import ModelSpec
from serving.protocol import tensors
from serving.protocol.names import DEFAULT_SIGNATURE, MAX_MESSAGE_BYTES
from serving.protocol.status import Code, RequestError, free_locals, invalid_argument
from serving.server.in_flight import InFlight

PING_SECONDS = 60  # without activity on a connection
CONNECTION_SECONDS = 60  # then the client opens another one, without noticing
LAST_REQUESTS_SECONDS = 60  # of a connection that is replaced
WAITING = 4  # requests for each thread
MAX_ERROR_CHARACTERS = 1024  # as in TensorFlow Serving; gRPC sends an error in a header

Method = Callable[[Any, Any, Any], Any]


def build_server(
    models: Models,
    health: HealthServicer | None,
    in_flight: InFlight,
    *,
    threads: int,
    read_seconds: float,
    max_request_bytes: int,
) -> Any:
    """Builds a grpc.Server with all services, not yet bound to a port.

    A request waits for a free thread, of which some are always left to refuse requests with a hint
    when to retry (`batching.admission`). gRPC itself refuses, without a hint, what is beyond
    `WAITING` times the threads.

    A connection that does not complete its handshake within `read_seconds` is closed, and one whose
    client does not answer pings. gRPC has no time limit for receiving a message, and a message that
    arrives byte by byte takes a thread; so that it does not for ever, each connection is replaced
    after a minute, and its requests have one minute more.
    """
    grpc_server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix='grpc'),
        interceptors=[in_flight],
        maximum_concurrent_rpcs=WAITING * threads,
        options=[
            ('grpc.max_send_message_length', MAX_MESSAGE_BYTES),
            ('grpc.max_receive_message_length', max_request_bytes),
            ('grpc.server_handshake_timeout_ms', round(read_seconds * 1000)),
            ('grpc.keepalive_time_ms', PING_SECONDS * 1000),
            ('grpc.keepalive_timeout_ms', round(read_seconds * 1000)),
            ('grpc.max_connection_age_ms', CONNECTION_SECONDS * 1000),
            ('grpc.max_connection_age_grace_ms', LAST_REQUESTS_SECONDS * 1000),
            ('grpc.so_reuseport', 0),  # a port in use must be an error
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(models), grpc_server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), grpc_server)
    if health:
        health_pb2_grpc.add_HealthServicer_to_server(health, grpc_server)
    return grpc_server


def _aborts_on_error(method: Method) -> Method:
    """Decorates a service method: a RequestError becomes its gRPC status, a bug INTERNAL."""

    @functools.wraps(method)
    def call(service: Any, request: Any, context: Any) -> Any:
        try:
            return method(service, request, context)
        except RequestError as error:
            free_locals(error)
            message = error.message
            if len(message) > MAX_ERROR_CHARACTERS:
                message = message[:MAX_ERROR_CHARACTERS] + '...TRUNCATED'
            if error.retry_after_seconds is not None:
                pushback = max(1, math.ceil(error.retry_after_seconds * 1000))
                context.set_trailing_metadata([('grpc-retry-pushback-ms', str(pushback))])
            return context.abort(grpc.StatusCode[error.code.name], message)
        except Exception as error:
            logging.exception('a request failed by an error of the server')
            return context.abort(grpc.StatusCode.INTERNAL, f'{type(error).__name__}, see the log')

    return call


@_aborts_on_error
def _unimplemented(service: Any, request: Any, context: Any) -> Any:
    raise RequestError(Code.UNIMPLEMENTED, 'this method is not implemented; use Predict')


class PredictionService:
    """tensorflow.serving.PredictionService."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @_aborts_on_error
    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  (the proto's name)
        """Runs a signature within the client's deadline."""
        name = request.model_spec.name
        with self._models.metrics.observe(name, api='Predict', entrypoint='GRPC'):
            return self._predict(request, context)

    def _predict(self, request: Any, context: Any) -> Any:
        spec = _named_spec(request)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._models.use(spec) as loaded:
            inputs = {name: _read_array(name, proto) for name, proto in request.inputs.items()}
            outputs = loaded.model.run(
                name,
                inputs,
                outputs=list(request.output_filter),
                timeout_seconds=context.time_remaining(),
            )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = loaded.version
        response.model_spec.signature_name = name
        for output, array in outputs.items():
            _write_array(response.outputs[output], array, name=output)
        return response

    @_aborts_on_error
    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns the signatures of the requested version."""
        return info.build_metadata(
            self._models, _named_spec(request), fields=list(request.metadata_field)
        )

    Classify = _unimplemented
    Regress = _unimplemented
    MultiInference = _unimplemented


class ModelService:
    """tensorflow.serving.ModelService."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @_aborts_on_error
    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns the state of the model's versions."""
        return info.build_status(self._models, _spec(request))

    @_aborts_on_error
    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Serves the models of the request instead of the present ones."""
        try:
            configs = model_configs.parse(request.config)
        except UserError as error:
            raise invalid_argument(str(error)) from error
        try:
            self._models.reload(configs)
        except UserError as error:
            raise RequestError(Code.FAILED_PRECONDITION, str(error)) from error
        return model_management_pb2.ReloadConfigResponse()


def _read_array(name: str, proto: Any) -> npt.NDArray[Any]:
    try:
        return tensors.read_array(proto)
    except ValueError as error:
        raise invalid_argument(f'tensor parsing error: {name}: {error}') from error


def _write_array(proto: Any, array: npt.NDArray[Any], *, name: str) -> None:
    try:
        tensors.write_array(proto, array)
    except ValueError as error:
        raise RequestError(Code.UNIMPLEMENTED, f'output {name!r}: {error}') from error


def _named_spec(request: Any) -> ModelSpec:
    spec = _spec(request)
    if not spec.name:
        raise invalid_argument('ModelSpec has no name specified.')
    return spec


def _spec(request: Any) -> ModelSpec:
    if not request.HasField('model_spec'):
        raise invalid_argument('Missing ModelSpec')
    spec = request.model_spec
    return ModelSpec(
        name=spec.name,
        version=spec.version.value if spec.HasField('version') else None,
        label=spec.version_label if spec.HasField('version_label') else None,
    )
