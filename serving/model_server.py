"""Serves a model over REST and gRPC on a laptop and in tests, as TensorFlow Serving would.

This is a stand-in. In production the server is the official image, tensorflow/serving, with the
files in serving/tf_serving/. A client cannot tell the two apart: same paths, same JSON, same
protos (PredictionService, ModelService, grpc.health.v1), same status codes, same flags. Classify,
Regress and MultiInference are not served here.

The highest version folder is served. A higher one that appears is loaded and warmed up, then takes
over; no request fails. SIGTERM: accepted requests finish, then exit code 0.

Examples:
  python -m serving.model_server --model_base_path=run/models/product_categories
  python -m serving.model_server --model_base_path=DIR --model_name=NAME --port=0 --rest_api_port=0

Once both ports answer it prints one line:
  ready: model NAME version 1, gRPC 127.0.0.1:8500, REST http://127.0.0.1:8501
"""

import sys

from absl import flags

from catalog import command_line
from catalog.process import startup_messages
from serving.server_options import ServerOptions

_BASE_PATH = flags.DEFINE_string('model_base_path', '', 'Folder of version folders: 1, 2, ...')
_NAME = flags.DEFINE_string('model_name', 'product_categories', 'What clients call the model.')
_HOST = flags.DEFINE_string('host', '127.0.0.1', 'Address to listen on; 0.0.0.0 for all.')
_PORT = flags.DEFINE_integer('port', 8500, 'gRPC port; 0: the system chooses.')
_REST_PORT = flags.DEFINE_integer('rest_api_port', 8501, 'REST port; 0: the system chooses.')
_REST_TIMEOUT = flags.DEFINE_integer(
    'rest_api_timeout_in_ms', 30_000, 'Longest time of a run that was asked for over REST.'
)
_POLL = flags.DEFINE_float(
    'file_system_poll_wait_seconds', 1, 'Time between two looks for a new version; 0: never look.'
)


def main(argv: list[str]) -> None:
    """Serves until it is told to stop."""
    del argv
    options = ServerOptions(
        model_name=_NAME.value,
        model_base_path=_BASE_PATH.value,
        host=_HOST.value,
        grpc_port=_PORT.value,
        rest_port=_REST_PORT.value,
        poll_seconds=_POLL.value,
        rest_timeout_seconds=_REST_TIMEOUT.value / 1000,
    )
    with startup_messages.hide():
        import tensorflow as tf

        tf.config.list_physical_devices()  # says what it does not find
    from serving import server  # TensorFlow: seconds that --help and a mistyped flag need not wait

    server.run(
        options,
        ready=lambda line: print(line, flush=True),
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )


if __name__ == '__main__':
    command_line.run(main)
