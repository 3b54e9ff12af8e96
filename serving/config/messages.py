"""The messages of config files that tensorflow-serving-api leaves out, in a private pool.

Definitions: BatchingParameters in tensorflow_serving/servables/tensorflow/session_bundle_config.
proto, MonitoringConfig and SSLConfig in tensorflow_serving/config/{monitoring,ssl}_config.proto.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_PACKAGE = 'tensorflow.serving'
_INT64 = '.google.protobuf.Int64Value'
_FIELDS: dict[str, dict[int, tuple[str, str]]] = {  # message -> number -> (name, type)
    'BatchingParameters': {
        1: ('max_batch_size', _INT64),
        2: ('batch_timeout_micros', _INT64),
        3: ('max_enqueued_batches', _INT64),
        4: ('num_batch_threads', _INT64),
        5: ('thread_pool_name', '.google.protobuf.StringValue'),
        6: ('allowed_batch_sizes', 'repeated int64'),
        7: ('pad_variable_length_inputs', 'bool'),
    },
    'PrometheusConfig': {1: ('enable', 'bool'), 2: ('path', 'string')},
    'MonitoringConfig': {1: ('prometheus_config', f'.{_PACKAGE}.PrometheusConfig')},
    'SSLConfig': {
        1: ('server_key', 'string'),
        2: ('server_cert', 'string'),
        3: ('custom_ca', 'string'),
        4: ('client_verify', 'bool'),
    },
}


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name='serving/config.proto',
        package=_PACKAGE,
        syntax='proto3',
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for message, fields in _FIELDS.items():
        entry = file.message_type.add(name=message)
        for number, (name, kind) in fields.items():
            _add_field(entry, number, name, kind=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return pool


def _add_field(entry: Any, number: int, name: str, *, kind: str) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    field = entry.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
    if kind.startswith('repeated '):
        field.label = kinds.LABEL_REPEATED
    if kind.startswith('.'):
        field.type, field.type_name = kinds.TYPE_MESSAGE, kind
    else:
        field.type = kinds.Type.Value(f'TYPE_{kind.split()[-1].upper()}')


_POOL = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f'{_PACKAGE}.{name}'))


BatchingParameters = _message('BatchingParameters')
MonitoringConfig = _message('MonitoringConfig')
SSLConfig = _message('SSLConfig')
