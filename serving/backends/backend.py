"""What the gateway needs from the server of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from serving.operations.predict import Outputs


@dataclass(frozen=True)
class Answer:
    """What a signature returned.

    Attributes:
      outputs: Arrays by output name, as docs/formats.md lists them for each signature.
      version: Version of the model, as the server gives it; '' if it gives none.
    """

    outputs: Outputs
    version: str


class Backend(Protocol):
    """A server of one exported model."""

    def prepare(self, picture: bytes) -> Any:
        """Decodes a picture, by the rule of `catalog.pixels`, and returns what `run` sends of it.

        Takes long enough to be called in a thread.

        Raises:
          BadPicture: If the bytes are not a usable image.
        """

    async def run(self, signature: str, pictures: Sequence[Any], seconds: float) -> Answer:
        """Runs a signature on prepared pictures; with `product`, all of them show one product.

        Raises:
          ServingError: If there is no answer within the time, or an error.
        """

    async def readiness_error(self, seconds: float) -> str:
        """Returns '' if the model is ready, otherwise the reason why not."""

    async def close(self) -> None:
        """Closes the connections."""
