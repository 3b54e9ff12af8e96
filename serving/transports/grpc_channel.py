"""What both gRPC transports share: a channel's settings, and the exception of a failed call.

Imports neither TensorFlow nor tensorflow_serving.
"""

from pathlib import Path
from typing import Any

import grpc

from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.protocol.status import Code
from serving.transports.options import ConnectionOptions, Tls

SERVICES = '/tensorflow.serving.'

_PUSHBACK = 'grpc-retry-pushback-ms'


def channel_options(options: ConnectionOptions) -> list[tuple[str, int]]:
    """Returns the channel's arguments."""
    return [
        ('grpc.max_receive_message_length', options.max_message_bytes),
        ('grpc.max_send_message_length', options.max_message_bytes),
        ('grpc.enable_retries', 0),  # `retry` does it, for both transports alike
        ('grpc.initial_reconnect_backoff_ms', 100),  # by default a second
        ('grpc.max_reconnect_backoff_ms', 1000),
        ('grpc.enable_http_proxy', 0),  # a server is reached directly, as over REST
    ]


def credentials(tls: Tls) -> Any:
    """Returns the credentials of a channel.

    Raises:
      UserError: If a file is invalid.
      OSError: If a file cannot be read.
    """
    tls.context()  # gRPC would report invalid files as a server that cannot be reached
    certificate, key, roots = (
        Path(name).read_bytes() if name else None
        for name in (tls.certificate_file, tls.key_file, tls.ca_file)
    )
    return grpc.ssl_channel_credentials(roots, key, certificate)


def call_error(endpoint: Endpoint, error: Any) -> ServingError:
    """Returns the exception of a failed call, from gRPC's own."""
    code = Code(error.code().value[0])
    message = error.details() or ''
    return ServingError(
        f'{endpoint.server} over gRPC: {code.name}: {message}',
        code=code,
        message=message,
        retry_after_seconds=_pushback(error.trailing_metadata()),
    )


def invalid_response(endpoint: Endpoint, error: ValueError) -> ServingError:
    """Returns the exception of a response that does not fit the request."""
    return ServingError(
        f'{endpoint.server} over gRPC: invalid output: {error}',
        code=Code.INTERNAL,
        message=f'invalid output: {error}',
    )


def _pushback(metadata: Any) -> float | None:
    """Returns when the server asks to try again, in seconds; None if it does not."""
    for key, value in metadata or ():
        if key == _PUSHBACK and str(value).isdecimal():
            return int(value) / 1000
    return None
