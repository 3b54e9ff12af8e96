"""Asks one question over gRPC. Imports neither TensorFlow nor tensorflow_serving."""

from typing import Any

import grpc
import numpy as np

from catalog.errors import UserError
from serving import protos, tensors
from serving.answers import Outputs, Question, Server

_OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]


def request(server: Server, question: Question) -> Any:
    """The PredictRequest of a question."""
    message = protos.PredictRequest()
    _fill_spec(message.model_spec, server)
    message.model_spec.signature_name = question.signature
    tensors.fill(message.inputs['image_bytes'], np.array(question.pictures, object))
    if question.product:
        tensors.fill(message.inputs['product'], np.array(question.product, np.int64))
    return message


def ask(server: Server, question: Question, *, timeout_seconds: float) -> Outputs:
    """The model's outputs.

    Raises:
      UserError: if the server does not answer in time, or answers with an error.
    """
    try:
        response = _call(
            server,
            'PredictionService/Predict',
            request(server, question),
            response_class=protos.PredictResponse,
            timeout_seconds=timeout_seconds,
        )
    except grpc.RpcError as error:
        raise UserError(_reason(server, error)) from error
    return {name: _plain(tensors.to_array(proto)) for name, proto in response.outputs.items()}


def why_not_ready(server: Server, *, timeout_seconds: float) -> str:
    """'' if the model is served now, else the reason why not."""
    message = protos.GetModelStatusRequest()
    _fill_spec(message.model_spec, server)
    try:
        response = _call(
            server,
            'ModelService/GetModelStatus',
            message,
            response_class=protos.GetModelStatusResponse,
            timeout_seconds=timeout_seconds,
        )
    except grpc.RpcError as error:
        return _reason(server, error)
    if any(status.state == protos.AVAILABLE for status in response.model_version_status):
        return ''
    return f'{server.address} has no version of {server.model} available'


def _call(
    server: Server, method: str, message: Any, *, response_class: Any, timeout_seconds: float
) -> Any:
    with grpc.insecure_channel(server.address, options=_OPTIONS) as channel:
        call = channel.unary_unary(
            f'/tensorflow.serving.{method}',
            request_serializer=type(message).SerializeToString,
            response_deserializer=response_class.FromString,
        )
        return call(message, timeout=timeout_seconds)


def _fill_spec(spec: Any, server: Server) -> None:
    spec.name = server.model
    if server.version is not None:
        spec.version.value = server.version


def _reason(server: Server, error: grpc.RpcError) -> str:
    return f'{server.address} over gRPC: {error.code().name}: {error.details()}'


def _plain(array: Any) -> Any:
    if array.dtype.hasobject:
        array = np.array([text.decode() for text in array.ravel()], object).reshape(array.shape)
    return array.tolist()
