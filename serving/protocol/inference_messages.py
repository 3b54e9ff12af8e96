"""Messages of the Open Inference Protocol v2 over gRPC, for a client.

They have only the fields that a client uses, with the official numbers, types and names, so the
bytes are the same. They come from a private descriptor pool, so that a module of the official proto
can be in the same process. Definition: open_inference_grpc.proto of kserve/open-inference-protocol.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from serving.protocol.descriptors import field

SERVICE = '/inference.GRPCInferenceService/'


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name='serving/inference.proto', package='inference', syntax='proto3'
    )
    ready = file.message_type.add(name='ModelReadyRequest')
    ready.field.append(field(1, 'name', 'string'))
    ready.field.append(field(2, 'version', 'string'))
    file.message_type.add(name='ModelReadyResponse').field.append(field(1, 'ready', 'bool'))

    contents = file.message_type.add(name='InferTensorContents')
    for number, name, kind in [
        (1, 'bool_contents', 'bool'),
        (2, 'int_contents', 'int32'),
        (3, 'int64_contents', 'int64'),
        (4, 'uint_contents', 'uint32'),
        (5, 'uint64_contents', 'uint64'),
        (6, 'fp32_contents', 'float'),
        (7, 'fp64_contents', 'double'),
        (8, 'bytes_contents', 'bytes'),
    ]:
        contents.field.append(field(number, name, kind, repeated=True))

    _add_request(file)
    _add_response(file)
    return file


def _add_request(file: descriptor_pb2.FileDescriptorProto) -> None:
    request = file.message_type.add(name='ModelInferRequest')
    _add_tensor(request, 'InferInputTensor')
    output = request.nested_type.add(name='InferRequestedOutputTensor')
    output.field.append(field(1, 'name', 'string'))
    request.field.append(field(1, 'model_name', 'string'))
    request.field.append(field(2, 'model_version', 'string'))
    request.field.append(field(3, 'id', 'string'))
    kind = '.inference.ModelInferRequest.'
    request.field.append(field(5, 'inputs', f'{kind}InferInputTensor', repeated=True))
    request.field.append(field(6, 'outputs', f'{kind}InferRequestedOutputTensor', repeated=True))
    request.field.append(field(7, 'raw_input_contents', 'bytes', repeated=True))


def _add_response(file: descriptor_pb2.FileDescriptorProto) -> None:
    response = file.message_type.add(name='ModelInferResponse')
    _add_tensor(response, 'InferOutputTensor')
    response.field.append(field(1, 'model_name', 'string'))
    response.field.append(field(2, 'model_version', 'string'))
    response.field.append(field(3, 'id', 'string'))
    kind = '.inference.ModelInferResponse.InferOutputTensor'
    response.field.append(field(5, 'outputs', kind, repeated=True))
    response.field.append(field(6, 'raw_output_contents', 'bytes', repeated=True))


def _add_tensor(message: descriptor_pb2.DescriptorProto, name: str) -> None:
    tensor = message.nested_type.add(name=name)
    tensor.field.append(field(1, 'name', 'string'))
    tensor.field.append(field(2, 'datatype', 'string'))
    tensor.field.append(field(3, 'shape', 'int64', repeated=True))
    tensor.field.append(field(5, 'contents', '.inference.InferTensorContents'))


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f'inference.{name}'))


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())

ModelReadyRequest = _message('ModelReadyRequest')
ModelReadyResponse = _message('ModelReadyResponse')
ModelInferRequest = _message('ModelInferRequest')
ModelInferResponse = _message('ModelInferResponse')
