"""The options of a server, validated. Imports no TensorFlow."""

import os
from dataclasses import dataclass

from catalog import storage
from catalog.errors import UserError

REST_TIMEOUT_SECONDS = 30  # default time limit of a REST request, as in TensorFlow Serving


@dataclass(frozen=True)
class ServerOptions:
    """Which model to serve, and where to listen.

    Attributes:
      model_name: Name of the model in requests.
      model_base_path: Folder that contains the version folders 1, 2, ...; local or remote.
      host: Address to listen on.
      grpc_port: gRPC port; 0 lets the system choose one.
      rest_port: REST port; 0 lets the system choose one.
      poll_seconds: Time between two checks for a new version; 0 disables them.
      rest_timeout_seconds: Time limit of one model run over REST.
      grpc_health: Whether to offer the service grpc.health.v1.Health.
    """

    model_name: str
    model_base_path: str
    host: str
    grpc_port: int
    rest_port: int
    poll_seconds: float
    rest_timeout_seconds: float
    grpc_health: bool = False

    def __post_init__(self) -> None:
        for name in ('grpc_port', 'rest_port'):
            if not 0 <= getattr(self, name) < 1 << 16:
                raise UserError(f'{name} must be in 0..65535, got {getattr(self, name)}')
        for name in ('model_name', 'model_base_path'):
            if not getattr(self, name):
                raise UserError(f'--{name} must be set')
        path = self.model_base_path
        if not storage.is_remote(path) and not os.path.isdir(path):
            raise UserError(f'--model_base_path must be a folder, got {path!r}')
        if self.poll_seconds < 0 or self.rest_timeout_seconds <= 0:
            raise UserError(
                'the polling interval must not be negative and the REST timeout must be positive, '
                f'got {self.poll_seconds} s and {self.rest_timeout_seconds} s'
            )
