"""Where an HTTP server listens: its address, its certificate and its bound port."""

import socket
import ssl
from dataclasses import dataclass

from catalog.errors import UserError


@dataclass(frozen=True)
class Listener:
    """Where a server listens.

    Attributes:
      host: Address.
      port: Port; 0 lets the system choose one.
      tls_cert: PEM file of the certificate with its chain; None for HTTP.
      tls_key: PEM file of its private key.
    """

    host: str
    port: int
    tls_cert: str | None = None
    tls_key: str | None = None

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UserError('--tls_cert and --tls_key must be given together, got one of them')
        if self.tls_cert and self.tls_key:
            _check_pair(self.tls_cert, self.tls_key)

    def url(self, port: int) -> str:
        """Returns the address for a browser, with the port that was bound."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'http{"s" if self.tls_cert else ""}://{host}:{port}'


def _check_pair(certificate: str, key: str) -> None:
    try:
        # An empty password: without one, OpenSSL would ask for it on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certificate,
            key,
            password='',  # nosec B106
        )
    except OSError as error:  # ssl.SSLError too
        raise UserError(
            '--tls_cert and --tls_key must be PEM files of one certificate, without a password, '
            f'got {certificate} and {key}: {error.strerror or error}'
        ) from error


def bind(host: str, port: int, *, flag: str = '--port') -> socket.socket:
    """Returns a bound socket that does not listen yet.

    Raises:
      UserError: If the port, which the flag gave, is in use.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    # With its protocol named, asyncio sets TCP_NODELAY on connections; otherwise each response on
    # a kept connection waits 40 ms for the client's acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f'{flag} must be free on --host, got {host}:{port}: {error.strerror}'
        ) from error
    return bound
