"""Which model a client asks, and where it is."""

from dataclasses import dataclass

from catalog.errors import UserError
from serving.protocol.names import MODEL_NAME


@dataclass(frozen=True)
class Endpoint:
    """A served model.

    Attributes:
      server: HOST:PORT of the transport.
      model: Name of the model on the server.
      version: Version of the model; None is the served version.
      label: Label of a version, such as `stable`; None if it has none.
    """

    server: str
    model: str = MODEL_NAME
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        host, _, port = self.server.rpartition(':')
        if not host or '/' in host or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise UserError(f'server must be HOST:PORT, got {self.server!r}')
        if not self.model:
            raise UserError('model must be set')
        if self.version is not None and self.label is not None:
            raise UserError(f'version or label must be set, got {self.version} and {self.label!r}')

    @property
    def not_available(self) -> str:
        """The message that no version of the model is available."""
        return f'{self.server} has no available version of {self.model}'
