"""Serves models over REST and gRPC on a laptop and in tests, as TensorFlow Serving does.

This server is a stand-in. In production, use the official image tensorflow/serving with the files
in serving/tf_serving/. docs/serving_parity.md says point by point what is the same (paths, JSON,
protos, status codes, flags), what differs, and what is not offered: Classify, Regress and
MultiInference, for example.

The server serves the highest version folder, or those that the version policy of a config file
selects. A new, higher version is loaded and warmed up, then replaces the old one; no request fails.
On SIGTERM the server completes the accepted requests within 20 seconds, then exits with code 0.

Examples:
  python -m serving.model_server --model_base_path=run/models/product_categories
  python -m serving.model_server --model_base_path=DIR --model_name=NAME --port=0 --rest_api_port=0
  python -m serving.model_server --model_config_file=models.config

Once both ports accept requests, the server prints one line:
  ready: model NAME version 1, gRPC 127.0.0.1:8500, REST http://127.0.0.1:8501
"""

import sys

from absl import flags

from catalog import command_line
from catalog.digests.keys import read_public_key
from catalog.errors import UserError
from catalog.process import optional_libraries, startup_messages
from serving.batching.admission import THREADS
from serving.config import batching, monitoring, tls
from serving.config import models as model_configs
from serving.config.batching import Batching
from serving.config.models import ModelConfig
from serving.model_server import not_offered
from serving.protocol import names
from serving.server.options import (
    MAX_REQUEST_BYTES,
    READ_SECONDS,
    REST_TIMEOUT_SECONDS,
    ServerOptions,
)

_BASE_PATH = flags.DEFINE(
    command_line.TENSORFLOW_PATH,
    'model_base_path',
    None,
    'Folder that contains the version folders 1, 2, ...; local or gs://. Ignored if '
    '--model_config_file is given.',
)
_NAME = flags.DEFINE_string(
    'model_name',
    names.MODEL_NAME,
    'Name of the model in requests. Ignored if --model_config_file is given.',
)
_CONFIG_FILE = flags.DEFINE(
    command_line.FILE,
    'model_config_file',
    None,
    'Text file of a ModelServerConfig: several models, version policies and labels.',
)
_CONFIG_POLL = flags.DEFINE_float(
    'model_config_file_poll_wait_seconds',
    0,
    'Time between two readings of --model_config_file, in seconds; 0 reads it once.',
)
_BATCHING = flags.DEFINE_bool(
    'enable_batching',
    False,
    'Whether to combine the requests that queued while the last batch ran into one batch.',
)
_BATCHING_FILE = flags.DEFINE(
    command_line.FILE,
    'batching_parameters_file',
    None,
    'Text file of BatchingParameters, for --enable_batching.',
)
_MONITORING_FILE = flags.DEFINE(
    command_line.FILE,
    'monitoring_config_file',
    None,
    'Text file of a MonitoringConfig: metrics for Prometheus on the REST port.',
)
_SSL_FILE = flags.DEFINE(
    command_line.FILE,
    'ssl_config_file',
    None,
    'Text file of an SSLConfig: TLS on the gRPC port. REST has none, as in TensorFlow Serving.',
)
_GRPC_THREADS = flags.DEFINE_integer(
    'grpc_max_threads', THREADS, 'gRPC requests handled at once; more are refused.'
)
_REST_THREADS = flags.DEFINE_integer(
    'rest_api_num_threads', THREADS, 'REST requests handled at once; more are refused.'
)
_LABELS = flags.DEFINE_bool(
    'allow_version_labels_for_unavailable_models',
    False,
    'Whether a new label may name a version that is not loaded yet, as at startup.',
)
_DIGESTS_KEY = flags.DEFINE(
    command_line.FILE,
    'digests_key',
    None,
    'PEM file of an Ed25519 public key: only models that its owner signed are loaded '
    '(trainer.export --signing_key).',
)
_HOST = flags.DEFINE_string(
    'host', '127.0.0.1', 'Address to listen on; 0.0.0.0 for all network interfaces.'
)
_PORT = flags.DEFINE_integer('port', names.GRPC_PORT, 'gRPC port; 0 lets the system choose one.')
_REST_PORT = flags.DEFINE_integer(
    'rest_api_port', names.REST_PORT, 'REST port; 0 lets the system choose one.'
)
_REST_TIMEOUT = flags.DEFINE_integer(
    'rest_api_timeout_in_ms',
    REST_TIMEOUT_SECONDS * 1000,
    'Time limit of one model run requested over REST, in milliseconds.',
)
_POLL = flags.DEFINE_float(
    'file_system_poll_wait_seconds',
    1,
    'Time between two checks for a new version, in seconds; 0 disables the checks.',
)
_CORS = flags.DEFINE_boolean(
    'rest_api_enable_cors_support', False, 'Lets pages of any site send requests over REST.'
)
_READ_SECONDS = flags.DEFINE_float(
    'request_read_seconds',
    READ_SECONDS,
    'Time to receive a request over REST, and one second more for each 500 bytes received; time to '
    'open a connection over gRPC.',
)
_MAX_BYTES = flags.DEFINE_integer(
    'max_request_bytes', MAX_REQUEST_BYTES, 'Largest body of a request, in bytes.'
)
_GRPC_HEALTH = flags.DEFINE_boolean(
    'enable_grpc_healthcheck_service',
    False,
    'Offers grpc.health.v1.Health for the services "", "PredictionService" and "ModelService".',
)


def main(argv: list[str]) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    del argv
    options = ServerOptions(
        models=_models(),
        host=_HOST.value,
        grpc_port=_PORT.value,
        rest_port=_REST_PORT.value,
        poll_seconds=_POLL.value,
        rest_timeout_seconds=_REST_TIMEOUT.value / 1000,
        read_seconds=_READ_SECONDS.value,
        max_request_bytes=_MAX_BYTES.value,
        cors=_CORS.value,
        grpc_health=_GRPC_HEALTH.value,
        config_file=_CONFIG_FILE.value,
        config_poll_seconds=_CONFIG_POLL.value,
        batching=_batching(),
        metrics_path=monitoring.read(_MONITORING_FILE.value) if _MONITORING_FILE.value else None,
        tls=tls.read(_SSL_FILE.value) if _SSL_FILE.value else None,
        grpc_threads=_GRPC_THREADS.value,
        rest_threads=_REST_THREADS.value,
        labels_for_unavailable=_LABELS.value,
        digests_key=read_public_key(_DIGESTS_KEY.value) if _DIGESTS_KEY.value else None,
    )
    with startup_messages.hide():
        with optional_libraries.skip():
            import tensorflow as tf

        # Both log warnings about missing hardware, of which the second is oneDNN's.
        tf.constant(0, tf.float16)
        tf.function(tf.transpose)(tf.zeros([2, 2], tf.uint8))
    from serving.server import process  # imports TensorFlow, which --help and flag errors skip

    process.serve(
        options,
        on_ready=lambda line: print(line, flush=True),
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )


def _models() -> tuple[ModelConfig, ...]:
    if _CONFIG_FILE.value:
        return tuple(model_configs.read(_CONFIG_FILE.value))
    if not _BASE_PATH.value:
        raise UserError('--model_base_path must be set, or --model_config_file')
    try:
        command_line.FOLDER.parse(_BASE_PATH.value)  # the flag may be wrong where it is ignored
    except UserError as error:
        raise UserError(f'--model_base_path {error}') from error
    return (ModelConfig(_NAME.value, _BASE_PATH.value),)


def _batching() -> Batching:
    if not _BATCHING.value:
        if _BATCHING_FILE.value:
            raise UserError('--batching_parameters_file needs --enable_batching')
        return batching.ALONE
    return batching.read(_BATCHING_FILE.value) if _BATCHING_FILE.value else Batching()


def _parse(argv: list[str]) -> list[str]:
    if error := not_offered.find(argv[1:]):
        command_line.exit_with_error(error)
    return command_line.parse_only_flags(argv)


if __name__ == '__main__':
    command_line.run(main, parse=_parse)
