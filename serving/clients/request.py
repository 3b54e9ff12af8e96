"""The request of a client, the same for both transports: where the model is, and which images."""

from dataclasses import dataclass

from catalog.errors import UserError
from serving.protocol.names import DEFAULT_SIGNATURE, PRODUCT_SIGNATURE

SIGNATURES = (DEFAULT_SIGNATURE, PRODUCT_SIGNATURE)


@dataclass(frozen=True)
class Endpoint:
    """A served model.

    Attributes:
      address: HOST:PORT of the transport.
      model: Name of the model on the server.
      version: Version of the model; None is the served version.
    """

    address: str
    model: str
    version: int | None = None

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(':')
        if not host or '/' in host or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise UserError(f'--server must be HOST:PORT, got {self.address!r}')
        if not self.model:
            raise UserError('--model must be set')

    @property
    def not_available(self) -> str:
        """The message that no version of the model is available."""
        return f'{self.address} has no available version of {self.model}'


@dataclass(frozen=True)
class Request:
    """Images for a signature: one example each, or all of them views of one product.

    Attributes:
      paths: Names of the images for display.
      pictures: Encoded images, in the same order.
      signature: One of SIGNATURES.
    """

    paths: tuple[str, ...]
    pictures: tuple[bytes, ...]
    signature: str

    def __post_init__(self) -> None:
        if self.signature not in SIGNATURES:
            raise UserError(f'--signature must be one of {SIGNATURES}, got {self.signature!r}')
        if not self.paths or len(self.paths) != len(self.pictures):
            raise UserError(f'--image must be set, got {len(self.paths)} images')

    @property
    def product(self) -> tuple[int, ...] | None:
        """The product index of each image for the product signature, otherwise None."""
        return (0,) * len(self.paths) if self.signature == PRODUCT_SIGNATURE else None
