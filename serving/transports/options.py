"""How a client connects: TLS, authentication, retries, sizes."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from catalog.errors import UserError
from serving.protocol.names import MAX_MESSAGE_BYTES


@dataclass(frozen=True)
class Tls:
    """Encryption, with a check of the server's certificate.

    Attributes:
      ca_file: PEM file of the authorities that sign servers; None for the usual ones.
      certificate_file: PEM file of this client's certificate, if the server asks for one.
      key_file: PEM file of its private key.
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise UserError('certificate_file and key_file must be set together, got one of them')

    def context(self) -> ssl.SSLContext:
        """Returns the context of an HTTPS connection.

        Raises:
          UserError: If a file is not PEM, or the key is not the certificate's.
          OSError: If a file cannot be read.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except ssl.SSLError as error:
            files = [self.ca_file, self.certificate_file, self.key_file]
            named = ', '.join(filter(None, files))
            raise UserError(f'{named}: must be PEM files that match, got: {error}') from error
        return context


@dataclass(frozen=True)
class Retries:
    """How often an operation is tried: after a connection failed, or if the server asks for it.

    Attributes:
      attempts: Most attempts, the first included.
      wait_seconds: Longest wait before the second attempt; it doubles with each one. The waits are
        drawn at random. A server's own hint takes precedence.
      max_wait_seconds: Longest wait.
    """

    attempts: int = 4
    wait_seconds: float = 0.2
    max_wait_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise UserError(f'attempts must be at least 1, got {self.attempts}')
        if not 0 <= self.wait_seconds <= self.max_wait_seconds:
            raise UserError(
                f'wait_seconds must be in [0, max_wait_seconds], got {self.wait_seconds}'
            )


@dataclass(frozen=True)
class ConnectionOptions:
    """How a client connects.

    Attributes:
      tls: None for a connection without encryption.
      token: Sent as `authorization: Bearer TOKEN`.
      api_key: Sent as `x-api-key`.
      headers: Other HTTP headers, or gRPC metadata; names in lower case.
      retries: How often an operation is tried.
      max_message_bytes: Largest request and largest response.
    """

    tls: Tls | None = None
    token: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retries: Retries = field(default_factory=Retries)
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        for name, value in self.metadata():
            if name != name.lower() or not (name + value).isascii() or not value.isprintable():
                raise UserError(
                    f'headers must have names in lower case and printable ASCII, got {name!r}'
                )
        if not 0 < self.max_message_bytes <= MAX_MESSAGE_BYTES:
            raise UserError(
                f'max_message_bytes must be in [1, {MAX_MESSAGE_BYTES}], '
                f'got {self.max_message_bytes}'
            )

    def metadata(self) -> list[tuple[str, str]]:
        """Returns the headers of each request, authentication included."""
        token = [('authorization', f'Bearer {self.token}')] if self.token else []
        api_key = [('x-api-key', self.api_key)] if self.api_key else []
        return [*token, *api_key, *self.headers.items()]
