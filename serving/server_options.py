"""What a server is told: where the model is, where to listen. Needs no TensorFlow to check."""

import os
from dataclasses import dataclass

from catalog import storage
from catalog.errors import UserError


@dataclass(frozen=True)
class ServerOptions:
    """Where the model is and where to listen. Port 0 means one chosen by the system."""

    model_name: str
    model_base_path: str
    host: str
    grpc_port: int
    rest_port: int
    poll_seconds: float
    rest_timeout_seconds: float

    def __post_init__(self) -> None:
        for name in ('grpc_port', 'rest_port'):
            if not 0 <= getattr(self, name) < 1 << 16:
                raise UserError(f'{name} must be in 0..65535, got {getattr(self, name)}')
        for name in ('model_name', 'model_base_path'):
            if not getattr(self, name):
                raise UserError(f'--{name} must be given')
        path = self.model_base_path
        if not storage.is_remote(path) and not os.path.isdir(path):
            raise UserError(f'--model_base_path must be a folder, got {path!r}')
        if self.poll_seconds < 0 or self.rest_timeout_seconds <= 0:
            raise UserError(
                'the poll period must not be negative and the REST timeout must be positive, '
                f'got {self.poll_seconds} s and {self.rest_timeout_seconds} s'
            )
