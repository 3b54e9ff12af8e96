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
    _check_pair(path, key=message.server_key, certificate=message.server_cert)
    if message.client_verify and not message.custom_ca:
        raise UserError(f'{path}: client_verify needs custom_ca, whose clients are admitted')
    return Tls(message.server_key, message.server_cert, message.custom_ca, message.client_verify)


def _check_pair(path: str, *, key: str, certificate: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public_key = load_pem_private_key(key.encode(), password=None).public_key()
    except (ValueError, TypeError) as error:
        raise UserError(
            f'{path}: server_key must be the text of a PEM file of a private key without a password'
        ) from error
    try:
        certified, *_ = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError as error:
        raise UserError(
            f'{path}: server_cert must be the text of a PEM file of a certificate'
        ) from error
    if certified.public_key() != public_key:
        raise UserError(f'{path}: server_cert must be of server_key, got a certificate of another')
