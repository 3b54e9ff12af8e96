"""Answers which category a photo or a product has, over HTTP, before a model's server.

Examples:
  python -m serving.gateway --target=127.0.0.1:8500 --port=8080
  python -m serving.gateway --target=127.0.0.1:8500 --port=8443 --host=0.0.0.0 --tls_cert=cert.pem
      --tls_key=key.pem --api_keys=keys.txt --manifest=shards

  python -m serving.gateway --target=127.0.0.1:9000 --network=converted/product_categories/1

  curl -F file=@photo.jpg http://127.0.0.1:8080/predict
  curl -F files=@front.jpg -F files=@back.jpg http://127.0.0.1:8080/v1/products:classify

/docs is a page with all paths. Once the port accepts requests, the gateway prints one line:
  ready: gateway http://127.0.0.1:8080, model product_categories at 127.0.0.1:8500
It does not wait for the model: /readyz reports when both are ready.
"""

import os
from collections.abc import Callable
from typing import Any

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from serving.backends.backend import Backend
from serving.backends.open_inference import OpenInference, read_network
from serving.backends.tf_serving import TensorFlowServing
from serving.gateway import app, process
from serving.intake import keys
from serving.intake.options import Limits
from serving.listening.listener import Listener
from serving.observation import drift, json_log
from serving.operations.endpoint import Endpoint
from serving.protocol import names
from serving.similar.published_index import PublishedIndex
from serving.transports.options import ConnectionOptions, Tls

_DEFAULT = Limits()

_TARGET = flags.DEFINE_string(
    'target', None, "HOST:PORT of the model's server, for gRPC.", required=True
)
_TARGET_CA = flags.DEFINE(
    command_line.LOCAL_FILE,
    'target_ca',
    None,
    "PEM file of the certificates that sign that of the model's server; by default, the connection "
    'has no TLS.',
)
_NETWORK = flags.DEFINE(
    command_line.LOCAL_FOLDER,
    'network',
    None,
    'Version folder of serving.convert, if the server speaks the Open Inference Protocol v2 '
    '(OpenVINO Model Server, Triton, KServe) and serves its network.',
)
_MODEL = flags.DEFINE_string('model', names.MODEL_NAME, 'Name of the model on its server.')
_HOST = flags.DEFINE_string(
    'host', '127.0.0.1', 'Address to listen on; 0.0.0.0 for all network interfaces.'
)
_PORT = flags.DEFINE_integer(
    'port', 8080, 'HTTP port; 0 lets the system choose one.', lower_bound=0, upper_bound=65535
)
_TLS_CERT = flags.DEFINE(
    command_line.LOCAL_FILE, 'tls_cert', None, 'PEM file of the certificate, for HTTPS.'
)
_TLS_KEY = flags.DEFINE(
    command_line.LOCAL_FILE, 'tls_key', None, 'PEM file of the private key, for HTTPS.'
)
_API_KEYS = flags.DEFINE(
    command_line.FILE,
    'api_keys',
    None,
    'File with a line `NAME KEY` or `NAME sha256:HEX` for each key that requests may have.',
)
_CORS = flags.DEFINE_list(
    'cors_origins', [], 'Origins whose web pages may send requests, such as https://shop.example.'
)
_MANIFEST = flags.DEFINE(
    command_line.FOLDER,
    'manifest',
    None,
    'Folder of a data set: /metrics compares the answers with its natural class prior.',
)
_INDEX = flags.DEFINE(
    command_line.LOCAL_FOLDER,
    'index',
    None,
    'Folder of serving.index, for /v1/similar; a new version in it replaces the old one.',
)
_THREADS = flags.DEFINE_integer(
    'decoding_threads', os.cpu_count() or 1, 'Threads that decode photos.', lower_bound=1
)
_LIMITS: dict[str, Any] = {
    'photo_mb': flags.DEFINE_float('max_photo_mb', _DEFAULT.photo_mb, 'Largest photo, in MiB.'),
    'photos': flags.DEFINE_integer('max_photos', _DEFAULT.photos, 'Most photos of a request.'),
    'megapixels': flags.DEFINE_float(
        'max_megapixels', _DEFAULT.megapixels, 'Largest photo, in million pixels.'
    ),
    'buffered_mb': flags.DEFINE_float(
        'max_buffered_mb', _DEFAULT.buffered_mb, 'Memory for requests being received, in MiB.'
    ),
    'running': flags.DEFINE_integer(
        'max_running', _DEFAULT.running, "Requests at the same time in the model's server."
    ),
    'waiting': flags.DEFINE_integer(
        'max_waiting', _DEFAULT.waiting, 'Requests that may wait for it; more are refused.'
    ),
    'upload_seconds': flags.DEFINE_float(
        'upload_seconds', _DEFAULT.upload_seconds, 'Time to receive a request, in seconds.'
    ),
    'timeout_seconds': flags.DEFINE_float(
        'timeout_seconds',
        _DEFAULT.timeout_seconds,
        'Time to answer a received request, in seconds.',
    ),
    'unready_seconds': flags.DEFINE_float(
        'unready_seconds',
        _DEFAULT.unready_seconds,
        'Time after SIGTERM in which requests are still accepted and /readyz is 503, in seconds.',
    ),
    'drain_seconds': flags.DEFINE_float(
        'drain_seconds',
        _DEFAULT.drain_seconds,
        'Time to answer received requests after SIGTERM, in seconds.',
    ),
}


def main(argv: list[str]) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    del argv
    options = ConnectionOptions(tls=Tls(ca_file=_TARGET_CA.value) if _TARGET_CA.value else None)
    if options.tls:
        options.tls.context()
    connect = _backend(_endpoint(), options)
    json_log.start()
    settings = app.Settings(
        model=_MODEL.value,
        limits=Limits(**{name: flag.value for name, flag in _LIMITS.items()}),
        threads=_THREADS.value,
        api_keys=keys.KeyFile(_API_KEYS.value, report=json_log.info) if _API_KEYS.value else None,
        cors_origins=tuple(_origin(origin) for origin in _CORS.value),
        prior=drift.read_prior(_MANIFEST.value) if _MANIFEST.value else None,
        index=PublishedIndex(_INDEX.value, report=json_log.info) if _INDEX.value else None,
    )
    listener = Listener(_HOST.value, _PORT.value, _TLS_CERT.value, _TLS_KEY.value)
    application = app.build_application(connect, settings)
    process.serve(
        application,
        listener,
        settings.limits,
        stopping=application.state.stopping,
        on_ready=lambda address: print(
            f'ready: gateway {address}, model {_MODEL.value} at {_TARGET.value}', flush=True
        ),
    )


def _backend(endpoint: Endpoint, options: ConnectionOptions) -> Callable[[], Backend]:
    if not _NETWORK.value:
        return lambda: TensorFlowServing(endpoint, options)
    network = read_network(_NETWORK.value)
    return lambda: OpenInference(endpoint, options, network)


def _endpoint() -> Endpoint:
    try:
        return Endpoint(_TARGET.value, model=_MODEL.value)
    except UserError as error:
        raise UserError(str(error).replace('server must', '--target must', 1)) from error


def _origin(text: str) -> str:
    if not text.startswith(('http://', 'https://')) or text.endswith('/'):
        raise UserError(
            f'--cors_origins must be like https://shop.example, without a path, got {text!r}'
        )
    return text


if __name__ == '__main__':
    command_line.run(main)
