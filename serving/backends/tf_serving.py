"""TensorFlow Serving over gRPC: a request holds the bytes of pictures, and the model decodes them.

Every picture is decoded here too, before it is sent: the server puts pictures of several requests
into one batch, which fails as a whole if one of them does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from catalog import pixels
from catalog.formats.image_header import SERVED_FORMATS, Header, read_header
from serving.backends.backend import Answer
from serving.clients import readiness, requests
from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.operations.model_status import GetStatus
from serving.operations.operation import HttpRequest
from serving.operations.predict import Predict
from serving.protocol.names import EMBEDDING_SIGNATURE, PRODUCT_SIGNATURE
from serving.transports.async_grpc_transport import AsyncGrpcTransport
from serving.transports.options import ConnectionOptions, Retries

RETRIES = Retries(attempts=3, wait_seconds=0.1, max_wait_seconds=0.5)


@dataclass(frozen=True)
class _PredictVersion:
    """The operation `predict`, with the version that answered."""

    request: Predict
    rpc: ClassVar[str] = Predict.rpc
    response_class: ClassVar[Any] = Predict.response_class

    def to_message(self, endpoint: Endpoint) -> Any:
        return self.request.to_message(endpoint)

    def parse_message(self, message: Any) -> Answer:
        version = message.model_spec.version.value
        return Answer(self.request.parse_message(message), str(version or ''))

    def to_http(self, endpoint: Endpoint) -> HttpRequest:
        return self.request.to_http(endpoint)

    def parse_json(self, document: dict[str, Any]) -> Answer:  # without its version
        return Answer(self.request.parse_json(document), '')


class TensorFlowServing:
    """A model of TensorFlow Serving, or of `serving.model_server`."""

    def __init__(self, endpoint: Endpoint, options: ConnectionOptions) -> None:
        """Must be called in the event loop that makes the calls; opens no connection yet."""
        self._endpoint = endpoint
        self._transport = AsyncGrpcTransport(endpoint, options)

    def prepare(self, picture: bytes) -> bytes:
        """Returns bytes that the model decodes to the pixels of `catalog.pixels`."""
        header = read_header(picture)
        if _is_served(header):
            pixels.decode(picture)
            return picture
        return pixels.to_png(picture)

    async def run(self, signature: str, pictures: Sequence[bytes], seconds: float) -> Answer:
        """Runs a signature of the served version."""
        return await self._transport.call(
            _PredictVersion(_request(signature, pictures)),
            deadline_seconds=seconds,
            retries=RETRIES,
        )

    async def readiness_error(self, seconds: float) -> str:
        """Returns '' if a version of the model is available."""
        try:
            versions = await self._transport.call(
                GetStatus(), deadline_seconds=seconds, retries=readiness.NO_RETRIES
            )
        except ServingError as error:
            return str(error)
        return readiness.reason(versions, self._endpoint)

    async def close(self) -> None:
        """Closes the connection."""
        await self._transport.close()


def _request(signature: str, pictures: Sequence[bytes]) -> Predict:
    if signature == PRODUCT_SIGNATURE:
        return requests.classify_products([pictures])
    if signature == EMBEDDING_SIGNATURE:
        return requests.embed(pictures)
    return requests.classify(pictures)


def _is_served(header: Header) -> bool:
    if header.format == 'jpeg':  # the model refuses a few, such as CMYK without Adobe's marker
        return header.channels in (1, 3) and header.strict
    return header.format in SERVED_FORMATS
