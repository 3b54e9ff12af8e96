"""PredictionService, ModelService and health, on the official protos.

Protos: tensorflow_serving/apis/{prediction,model}_service.proto and grpc.health.v1. Only Predict,
GetModelMetadata and GetModelStatus are served; the rest is UNIMPLEMENTED.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving import model_info, tensors
from serving.model_versions import ModelSpec, ModelVersions
from serving.saved_model import DEFAULT_SIGNATURE
from serving.status import Code, RequestError, invalid

MAX_MESSAGE_BYTES = (1 << 31) - 1  # as TensorFlow Serving: what an int32 holds
MAX_ERROR_CHARACTERS = 1024  # as TensorFlow Serving: an error travels in a header

Method = Callable[[Any, Any, Any], Any]


def server(versions: ModelVersions, health: HealthServicer, *, threads: int) -> Any:
    """A grpc.Server with all services, not yet bound to a port."""
    grpc_server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix='grpc'),
        options=[
            ('grpc.max_receive_message_length', MAX_MESSAGE_BYTES),
            ('grpc.max_send_message_length', MAX_MESSAGE_BYTES),
            ('grpc.so_reuseport', 0),  # a second server on a port in use must fail
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(versions), grpc_server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(versions), grpc_server)
    health_pb2_grpc.add_HealthServicer_to_server(health, grpc_server)
    return grpc_server


def _answers_errors(method: Method) -> Method:
    """A method of a service, with a RequestError told as its gRPC status."""

    @functools.wraps(method)
    def call(service: Any, request: Any, context: Any) -> Any:
        try:
            return method(service, request, context)
        except RequestError as error:
            message = error.message
            if len(message) > MAX_ERROR_CHARACTERS:
                message = message[:MAX_ERROR_CHARACTERS] + '...TRUNCATED'
            return context.abort(grpc.StatusCode[error.code.name], message)

    return call


@_answers_errors
def _unimplemented(service: Any, request: Any, context: Any) -> Any:
    raise RequestError(Code.UNIMPLEMENTED, 'this method is not served here; use Predict')


class PredictionService:
    """tensorflow.serving.PredictionService."""

    def __init__(self, versions: ModelVersions) -> None:
        self._versions = versions

    @_answers_errors
    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  (the proto's name)
        """Runs a signature; the client's deadline bounds the run."""
        spec = _spec(request)
        try:
            inputs = {name: tensors.to_array(proto) for name, proto in request.inputs.items()}
        except ValueError as error:
            raise invalid(f'tensor parsing error: {error}') from error
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._versions.use(spec) as loaded:
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
            tensors.fill(response.outputs[output], array)
        return response

    @_answers_errors
    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The signatures of the served version."""
        return model_info.metadata(
            self._versions, _spec(request), fields=list(request.metadata_field)
        )

    Classify = _unimplemented
    Regress = _unimplemented
    MultiInference = _unimplemented


class ModelService:
    """tensorflow.serving.ModelService."""

    def __init__(self, versions: ModelVersions) -> None:
        self._versions = versions

    @_answers_errors
    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """How the versions of a model are."""
        return model_info.status(self._versions, _spec(request))

    HandleReloadConfigRequest = _unimplemented


def _spec(request: Any) -> ModelSpec:
    if not request.HasField('model_spec'):
        raise invalid('Missing ModelSpec')
    spec = request.model_spec
    return ModelSpec(
        name=spec.name,
        version=spec.version.value if spec.HasField('version') else None,
        label=spec.version_label if spec.HasField('version_label') else None,
    )
