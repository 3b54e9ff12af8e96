"""TensorFlow Serving's protobuf messages for a client, built without TensorFlow.

The official modules (tensorflow_serving.apis) import all of TensorFlow, which costs seconds and
hundreds of megabytes. These messages come from a private descriptor pool, so that both can be in
one process. They have only the fields that a client uses, with the official numbers, types and
names, so the bytes are the same. Definitions: tensorflow_serving/apis/{model,predict,
get_model_status,get_model_metadata}.proto, tensorflow_serving/util/status.proto,
tensorflow/core/framework/{tensor,tensor_shape}.proto and tensorflow/core/protobuf/meta_graph.proto.
"""

from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    wrappers_pb2,
)

from serving.protocol.descriptors import field


def _add_map(
    message: descriptor_pb2.DescriptorProto, number: int, name: str, *, package: str, value: str
) -> None:
    camel = ''.join(part.capitalize() for part in name.split('_'))
    entry = message.nested_type.add(name=f'{camel}Entry')
    entry.options.map_entry = True
    entry.field.append(field(1, 'key', 'string'))
    entry.field.append(field(2, 'value', value))
    kind = f'.{package}.{message.name}.{entry.name}'
    message.field.append(field(number, name, kind, repeated=True))


def _tensor_map(message: descriptor_pb2.DescriptorProto, *, number: int, name: str) -> None:
    _add_map(message, number, name, package='tensorflow.serving', value='.tensorflow.TensorProto')


def _tensor_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name='serving/tensor.proto', package='tensorflow', syntax='proto3'
    )
    shape = file.message_type.add(name='TensorShapeProto')
    shape.nested_type.add(name='Dim').field.append(field(1, 'size', 'int64'))
    shape.field.append(field(2, 'dim', '.tensorflow.TensorShapeProto.Dim', repeated=True))
    shape.field.append(field(3, 'unknown_rank', 'bool'))

    tensor = file.message_type.add(name='TensorProto')
    tensor.field.append(field(1, 'dtype', 'int32'))  # officially the enum DataType
    tensor.field.append(field(2, 'tensor_shape', '.tensorflow.TensorShapeProto'))
    tensor.field.append(field(4, 'tensor_content', 'bytes'))
    for number, name, kind in [
        (5, 'float_val', 'float'),
        (6, 'double_val', 'double'),
        (7, 'int_val', 'int32'),
        (8, 'string_val', 'bytes'),
        (9, 'scomplex_val', 'float'),
        (10, 'int64_val', 'int64'),
        (11, 'bool_val', 'bool'),
        (12, 'dcomplex_val', 'double'),
        (13, 'half_val', 'int32'),
        (16, 'uint32_val', 'uint32'),
        (17, 'uint64_val', 'uint64'),
    ]:
        tensor.field.append(field(number, name, kind, repeated=True))
    return file


def _signature_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name='serving/signature.proto',
        package='tensorflow',
        syntax='proto3',
        dependency=['serving/tensor.proto'],
    )
    info = file.message_type.add(name='TensorInfo')
    info.field.append(field(1, 'name', 'string'))
    info.field.append(field(2, 'dtype', 'int32'))  # officially the enum DataType
    info.field.append(field(3, 'tensor_shape', '.tensorflow.TensorShapeProto'))

    signature = file.message_type.add(name='SignatureDef')
    for number, name in ((1, 'inputs'), (2, 'outputs')):
        _add_map(signature, number, name, package='tensorflow', value='.tensorflow.TensorInfo')
    signature.field.append(field(3, 'method_name', 'string'))
    return file


def _serving_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name='serving/serving.proto',
        package='tensorflow.serving',
        syntax='proto3',
        dependency=[
            'serving/tensor.proto',
            'serving/signature.proto',
            any_pb2.DESCRIPTOR.name,
            wrappers_pb2.DESCRIPTOR.name,
        ],
    )
    spec = file.message_type.add(name='ModelSpec')
    spec.oneof_decl.add(name='version_choice')
    spec.field.append(field(1, 'name', 'string'))
    spec.field.append(field(2, 'version', '.google.protobuf.Int64Value', oneof=True))
    spec.field.append(field(3, 'signature_name', 'string'))
    spec.field.append(field(4, 'version_label', 'string', oneof=True))

    request = file.message_type.add(name='PredictRequest')
    request.field.append(field(1, 'model_spec', '.tensorflow.serving.ModelSpec'))
    _tensor_map(request, number=2, name='inputs')
    request.field.append(field(3, 'output_filter', 'string', repeated=True))

    response = file.message_type.add(name='PredictResponse')
    _tensor_map(response, number=1, name='outputs')
    response.field.append(field(2, 'model_spec', '.tensorflow.serving.ModelSpec'))

    _add_status_messages(file)
    _add_metadata_messages(file)
    return file


def _add_status_messages(file: descriptor_pb2.FileDescriptorProto) -> None:
    request = file.message_type.add(name='GetModelStatusRequest')
    request.field.append(field(1, 'model_spec', '.tensorflow.serving.ModelSpec'))

    status = file.message_type.add(name='StatusProto')
    status.field.append(field(1, 'error_code', 'int32'))  # officially the enum error.Code
    status.field.append(field(2, 'error_message', 'string'))

    version = file.message_type.add(name='ModelVersionStatus')
    version.field.append(field(1, 'version', 'int64'))
    version.field.append(field(2, 'state', 'int32'))  # officially the enum State
    version.field.append(field(3, 'status', '.tensorflow.serving.StatusProto'))

    response = file.message_type.add(name='GetModelStatusResponse')
    kind = '.tensorflow.serving.ModelVersionStatus'
    response.field.append(field(1, 'model_version_status', kind, repeated=True))


def _add_metadata_messages(file: descriptor_pb2.FileDescriptorProto) -> None:
    request = file.message_type.add(name='GetModelMetadataRequest')
    request.field.append(field(1, 'model_spec', '.tensorflow.serving.ModelSpec'))
    request.field.append(field(2, 'metadata_field', 'string', repeated=True))

    response = file.message_type.add(name='GetModelMetadataResponse')
    response.field.append(field(1, 'model_spec', '.tensorflow.serving.ModelSpec'))
    package, value = 'tensorflow.serving', '.google.protobuf.Any'
    _add_map(response, 2, 'metadata', package=package, value=value)

    signatures = file.message_type.add(name='SignatureDefMap')
    value = '.tensorflow.SignatureDef'
    _add_map(signatures, 1, 'signature_def', package=package, value=value)


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(_tensor_file())
    pool.Add(_signature_file())
    pool.Add(_serving_file())
    return pool


_POOL = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


TensorProto = _message('tensorflow.TensorProto')
ModelSpec = _message('tensorflow.serving.ModelSpec')
PredictRequest = _message('tensorflow.serving.PredictRequest')
PredictResponse = _message('tensorflow.serving.PredictResponse')
GetModelStatusRequest = _message('tensorflow.serving.GetModelStatusRequest')
GetModelStatusResponse = _message('tensorflow.serving.GetModelStatusResponse')
GetModelMetadataRequest = _message('tensorflow.serving.GetModelMetadataRequest')
GetModelMetadataResponse = _message('tensorflow.serving.GetModelMetadataResponse')
SignatureDefMap = _message('tensorflow.serving.SignatureDefMap')
