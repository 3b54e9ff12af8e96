"""The options of a server, validated. Imports no TensorFlow."""

from dataclasses import dataclass

from catalog.digests.keys import PublicKey
from catalog.errors import UserError
from serving.batching.admission import THREADS
from serving.config.batching import ALONE, Batching
from serving.config.models import ModelConfig
from serving.config.tls import Tls
from serving.protocol.names import MAX_MESSAGE_BYTES

REST_TIMEOUT_SECONDS = 30  # default time limit of a REST request, as in TensorFlow Serving
READ_SECONDS = 20  # default time to receive a request
MAX_REQUEST_BYTES = 256 << 20


@dataclass(frozen=True)
class ServerOptions:
    """Which models to serve, and where to listen.

    Attributes:
      models: The models.
      host: Address to listen on.
      grpc_port: gRPC port; 0 lets the system choose one.
      rest_port: REST port; 0 lets the system choose one.
      poll_seconds: Time between two checks for a new version; 0 disables them.
      rest_timeout_seconds: Time limit of one model run over REST.
      read_seconds: Time to receive a request over REST, or to open a connection over gRPC.
      max_request_bytes: Limit of a request's body over REST, and of a message over gRPC.
      cors: Whether pages of any site may send requests over REST.
      grpc_health: Whether to offer the service grpc.health.v1.Health.
      config_file: The file that the models were read from, to be read again.
      config_poll_seconds: Time between two readings of it; 0 disables them.
      labels_for_unavailable: Whether a new label may name a version that is not loaded.
      digests_key: If given, only models with its owner's signature are loaded.
      metrics_path: HTTP path of the metrics, on the REST port; None for none.
      tls: Certificate of the gRPC port; None for none.
      batching: How requests are queued and combined into batches.
      grpc_threads: gRPC requests that are handled at once; more are refused.
      rest_threads: REST requests that are handled at once; more are refused.
    """

    models: tuple[ModelConfig, ...]
    host: str
    grpc_port: int
    rest_port: int
    poll_seconds: float
    rest_timeout_seconds: float
    read_seconds: float = READ_SECONDS
    max_request_bytes: int = MAX_REQUEST_BYTES
    cors: bool = False
    grpc_health: bool = False
    config_file: str | None = None
    config_poll_seconds: float = 0
    labels_for_unavailable: bool = False
    digests_key: PublicKey | None = None
    metrics_path: str | None = None
    tls: Tls | None = None
    batching: Batching = ALONE
    grpc_threads: int = THREADS
    rest_threads: int = THREADS

    def __post_init__(self) -> None:
        if self.read_seconds <= 0 or not 0 < self.max_request_bytes <= MAX_MESSAGE_BYTES:
            raise UserError(
                'the time to receive a request must be positive, and its limit in '
                f'1..{MAX_MESSAGE_BYTES} bytes, got {self.read_seconds} s and '
                f'{self.max_request_bytes} bytes'
            )
        for flag, port in [('port', self.grpc_port), ('rest_api_port', self.rest_port)]:
            if not 0 <= port < 1 << 16:
                raise UserError(f'--{flag} must be in 0..65535, got {port}')
        if min(self.poll_seconds, self.config_poll_seconds) < 0 or self.rest_timeout_seconds <= 0:
            raise UserError(
                'the polling intervals must not be negative and the REST timeout must be positive, '
                f'got {self.poll_seconds} s, {self.config_poll_seconds} s and '
                f'{self.rest_timeout_seconds} s'
            )
        for flag, threads in [
            ('grpc_max_threads', self.grpc_threads),
            ('rest_api_num_threads', self.rest_threads),
        ]:
            if threads < 1:
                raise UserError(f'--{flag} must be at least 1, got {threads}')
