"""The files for the official image parse as the messages that the server reads."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.serving.running import ROOT

FOLDER = ROOT / 'serving' / 'tf_serving'


def build_messages() -> dict[str, Any]:
    """Builds BatchingParameters and MonitoringConfig, missing from tensorflow-serving-api.

    The fields are those of tensorflow_serving/servables/tensorflow/session_bundle_config.proto
    and tensorflow_serving/config/monitoring_config.proto.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name='test/serving.proto',
        package='tensorflow.serving',
        syntax='proto3',
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )

    def add(message: Any, number: int, name: str, kind: int, type_name: str = '') -> Any:
        return message.field.add(
            name=name,
            number=number,
            type=kind,
            type_name=type_name or None,
            label=kinds.LABEL_OPTIONAL,
        )

    batching = file.message_type.add(name='BatchingParameters')
    int64 = '.google.protobuf.Int64Value'
    add(batching, 1, 'max_batch_size', kinds.TYPE_MESSAGE, int64)
    add(batching, 2, 'batch_timeout_micros', kinds.TYPE_MESSAGE, int64)
    add(batching, 3, 'max_enqueued_batches', kinds.TYPE_MESSAGE, int64)
    add(batching, 4, 'num_batch_threads', kinds.TYPE_MESSAGE, int64)
    add(batching, 5, 'thread_pool_name', kinds.TYPE_MESSAGE, '.google.protobuf.StringValue')
    add(batching, 6, 'allowed_batch_sizes', kinds.TYPE_INT64).label = kinds.LABEL_REPEATED
    add(batching, 7, 'pad_variable_length_inputs', kinds.TYPE_BOOL)

    prometheus = file.message_type.add(name='PrometheusConfig')
    add(prometheus, 1, 'enable', kinds.TYPE_BOOL)
    add(prometheus, 2, 'path', kinds.TYPE_STRING)
    monitoring = file.message_type.add(name='MonitoringConfig')
    add(
        monitoring,
        1,
        'prometheus_config',
        kinds.TYPE_MESSAGE,
        '.tensorflow.serving.PrometheusConfig',
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f'tensorflow.serving.{name}')
        )
        for name in ('BatchingParameters', 'MonitoringConfig')
    }


def parse(file: str, message: Any) -> Any:
    return text_format.Parse((FOLDER / file).read_text(), message)


def test_the_model_has_the_default_name_of_the_command_lines() -> None:
    config = parse('models.config', model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert model.name == 'product_categories'
    for module in ('serving.query', 'serving.model_server'):
        done = subprocess.run(
            [sys.executable, '-m', module, '--help'], cwd=ROOT, capture_output=True, text=True
        )
        assert f"(default: '{model.name}')" in done.stdout
    assert model.base_path == f'/models/{model.name}'
    assert model.model_platform == 'tensorflow'
    assert model.model_version_policy.latest.num_versions == 1


def test_the_batching_parameters_are_read_as_written() -> None:
    batching = parse('batching_parameters.txt', build_messages()['BatchingParameters']())
    assert batching.max_batch_size.value == 64
    assert batching.batch_timeout_micros.value == 2000
    assert batching.max_enqueued_batches.value == 64
    assert batching.num_batch_threads.value >= 1


def test_prometheus_metrics_are_enabled() -> None:
    config = parse('monitoring.config', build_messages()['MonitoringConfig']())
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == '/monitoring/prometheus/metrics'


def test_the_readme_names_every_file() -> None:
    readme = (FOLDER / 'README.md').read_text()
    files = {path.name for path in Path(FOLDER).iterdir()} - {'README.md'}
    assert files == {'models.config', 'monitoring.config', 'batching_parameters.txt'}
    assert all(f'`{file}`' in readme for file in files)
