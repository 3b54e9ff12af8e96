"""The certificate of the gRPC port: the SSLConfig file. As in TensorFlow Serving, REST has none."""

from dataclasses import dataclass

from catalog.errors import UserError
from serving.config import text_file
from serving.config.messages import SSLConfig


@dataclass(frozen=True)
class Tls:
    """Texts of PEM files.

    Attributes:
      server_key: The private key.
      server_cert: The certificate, with its chain.
      custom_ca: Certificates that sign those of clients; '' for the system's.
      client_verify: Whether a client must have a valid certificate.
    """

    server_key: str
    server_cert: str
    custom_ca: str
    client_verify: bool


def read(path: str) -> Tls:
    """Reads an SSLConfig file.

    Raises:
      UserError: If the file is invalid.
    """
    message = text_file.read(path, SSLConfig())
    for name in ('server_key', 'server_cert'):
        if '-----BEGIN ' not in getattr(message, name):
            raise UserError(f'{path}: {name} must be the text of a PEM file, not its path')
    if message.client_verify and not message.custom_ca:
        raise UserError(f'{path}: client_verify needs custom_ca, whose clients are admitted')
    return Tls(message.server_key, message.server_cert, message.custom_ca, message.client_verify)
