"""Sends one request over gRPC. Imports neither TensorFlow nor tensorflow_serving."""

from typing import Any

import grpc
import numpy as np

from catalog.errors import UserError
from serving.clients.prediction import Outputs
from serving.clients.request import Endpoint, Request
from serving.protocol import messages, tensors
from serving.protocol.names import GRPC_OPTIONS, IMAGE_BYTES, PRODUCT


def build_message(endpoint: Endpoint, request: Request) -> Any:
    """Builds the PredictRequest of a request."""
    message = messages.PredictRequest()
    _fill_spec(message.model_spec, endpoint)
    message.model_spec.signature_name = request.signature
    tensors.write_array(message.inputs[IMAGE_BYTES], np.array(request.pictures, object))
    if request.product:
        tensors.write_array(message.inputs[PRODUCT], np.array(request.product, np.int64))
    return message


def predict(endpoint: Endpoint, request: Request, *, timeout_seconds: float) -> Outputs:
    """Returns the model's outputs.

    Raises:
      UserError: If the server returns an error or does not respond in time.
    """
    try:
        response = _call(
            endpoint,
            'PredictionService/Predict',
            build_message(endpoint, request),
            response_class=messages.PredictResponse,
            timeout_seconds=timeout_seconds,
        )
    except grpc.RpcError as error:
        raise UserError(_reason(endpoint, error)) from error
    try:
        return {
            name: _to_lists(tensors.read_array(proto)) for name, proto in response.outputs.items()
        }
    except ValueError as error:
        raise UserError(f'{endpoint.address} over gRPC: invalid output: {error}') from error


def readiness_error(endpoint: Endpoint, *, timeout_seconds: float) -> str:
    """Returns '' if the model is ready, otherwise the reason why not."""
    message = messages.GetModelStatusRequest()
    _fill_spec(message.model_spec, endpoint)
    try:
        response = _call(
            endpoint,
            'ModelService/GetModelStatus',
            message,
            response_class=messages.GetModelStatusResponse,
            timeout_seconds=timeout_seconds,
        )
    except grpc.RpcError as error:
        return _reason(endpoint, error)
    if any(status.state == messages.AVAILABLE for status in response.model_version_status):
        return ''
    return endpoint.not_available


def _call(
    endpoint: Endpoint, method: str, message: Any, *, response_class: Any, timeout_seconds: float
) -> Any:
    with grpc.insecure_channel(endpoint.address, options=GRPC_OPTIONS) as channel:
        call = channel.unary_unary(
            f'/tensorflow.serving.{method}',
            request_serializer=type(message).SerializeToString,
            response_deserializer=response_class.FromString,
        )
        return call(message, timeout=timeout_seconds)


def _fill_spec(spec: Any, endpoint: Endpoint) -> None:
    spec.name = endpoint.model
    if endpoint.version is not None:
        spec.version.value = endpoint.version


def _reason(endpoint: Endpoint, error: grpc.RpcError) -> str:
    return f'{endpoint.address} over gRPC: {error.code().name}: {error.details()}'


def _to_lists(array: Any) -> Any:
    if array.dtype.hasobject:
        array = np.array([text.decode() for text in array.ravel()], object).reshape(array.shape)
    return array.tolist()
