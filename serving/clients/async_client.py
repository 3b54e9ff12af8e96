"""The client of a served model, on asyncio."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from serving.clients import prediction, readiness, requests
from serving.clients.prediction import Prediction
from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.operations.model_metadata import GetMetadata, ModelMetadata
from serving.operations.model_status import GetStatus, VersionStatus
from serving.operations.operation import Operation
from serving.operations.predict import Outputs
from serving.protocol.names import MODEL_NAME
from serving.transports.async_grpc_transport import AsyncGrpcTransport
from serving.transports.options import ConnectionOptions, Retries
from serving.transports.rest_transport import RestTransport

Result = TypeVar('Result')


class Transport(Protocol):
    """Sends operations."""

    async def call(
        self, operation: Operation[Result], *, deadline_seconds: float, retries: Retries
    ) -> Result:
        """Returns the result of an operation, or raises a ServingError."""

    async def close(self) -> None:
        """Closes the connections."""


def _open(transport: str, endpoint: Endpoint, options: ConnectionOptions) -> Transport:
    match transport:
        case 'grpc':
            return AsyncGrpcTransport(endpoint, options)
        case 'rest':
            return RestTransport(endpoint, options)
        case _:
            raise ValueError(f'transport must be grpc or rest, got {transport!r}')


class AsyncClient:
    """Asks a served model over kept connections. Belongs to one event loop.

    Each method takes at most `deadline_seconds`, retries included, and raises a `ServingError` if
    the operation fails, whatever the server responds; a ValueError if an argument is invalid.

    Args:
      server: HOST:PORT of the transport.
      transport: `grpc` or `rest`.
      model: Name of the model on the server.
      version: Version of the model; None for the served version.
      label: Label of a version instead.
      deadline_seconds: Limit of each call that gives none.
      options: TLS, authentication, retries, sizes.
    """

    def __init__(
        self,
        server: str,
        *,
        transport: Literal['grpc', 'rest'] = 'grpc',
        model: str = MODEL_NAME,
        version: int | None = None,
        label: str | None = None,
        deadline_seconds: float = 10.0,
        options: ConnectionOptions | None = None,
    ) -> None:
        self.endpoint = Endpoint(server, model, version, label)
        self.deadline_seconds = deadline_seconds
        self._options = options or ConnectionOptions()
        self._kind = transport
        self._opened: Transport | None = None

    async def classify(
        self, pictures: Sequence[bytes], *, deadline_seconds: float | None = None
    ) -> list[Prediction]:
        """Returns the categories of each of N pictures, which are the bytes of image files."""
        outputs = await self._call(requests.classify(pictures), deadline_seconds)
        return prediction.parse_outputs(outputs, count=len(pictures))

    async def classify_products(
        self, products: Sequence[Sequence[bytes]], *, deadline_seconds: float | None = None
    ) -> list[Prediction]:
        """Returns the categories of each of P products, from one picture of it or more."""
        outputs = await self._call(requests.classify_products(products), deadline_seconds)
        return prediction.parse_outputs(outputs, count=len(products), of_products=True)

    async def classify_pixels(
        self, images: npt.NDArray[np.uint8], *, deadline_seconds: float | None = None
    ) -> list[Prediction]:
        """Returns the categories of decoded pictures of the model's size, uint8 [N, H, W, 3]."""
        outputs = await self._call(requests.classify_pixels(images), deadline_seconds)
        return prediction.parse_outputs(outputs, count=len(images))

    async def embed(
        self, pictures: Sequence[bytes], *, deadline_seconds: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Returns the embeddings of N pictures, float32 [N, d], for finding similar ones."""
        outputs = await self._call(requests.embed(pictures), deadline_seconds)
        return requests.parse_embeddings(outputs, count=len(pictures))

    async def embed_pixels(
        self, images: npt.NDArray[np.uint8], *, deadline_seconds: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Returns the embeddings of decoded pictures, uint8 [N, H, W, 3] -> float32 [N, d]."""
        outputs = await self._call(requests.classify_pixels(images), deadline_seconds)
        return requests.parse_embeddings(outputs, count=len(images))

    async def predict(
        self,
        signature: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        only_output: str | None = None,
        deadline_seconds: float | None = None,
    ) -> Outputs:
        """Returns the outputs of any signature.

        Args:
          signature: Its name.
          inputs: Its inputs by name; over gRPC of the signature's own types.
          only_output: Name of the output, if it is the only one: the REST API leaves it out.
          deadline_seconds: Limit of the call.
        """
        request = requests.predict(signature, inputs, only_output=only_output)
        return await self._call(request, deadline_seconds)

    async def status(self, *, deadline_seconds: float | None = None) -> tuple[VersionStatus, ...]:
        """Returns the versions of the model and their states."""
        return await self._call(GetStatus(), deadline_seconds)

    async def metadata(self, *, deadline_seconds: float | None = None) -> ModelMetadata:
        """Returns the version that is served and its signatures."""
        return await self._call(GetMetadata(), deadline_seconds)

    async def wait_until_ready(self, wait_seconds: float) -> None:
        """Returns when a version of the model is available.

        Raises:
          ServingError: DEADLINE_EXCEEDED if none is after the wait.
        """
        end = time.monotonic() + wait_seconds
        while reason := await self._readiness_error():
            if time.monotonic() >= end:
                raise readiness.timeout(wait_seconds, reason)
            await asyncio.sleep(readiness.POLL_SECONDS)

    async def close(self) -> None:
        """Closes the connections."""
        if self._opened:
            await self._opened.close()

    async def __aenter__(self) -> 'AsyncClient':
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def _transport(self) -> Transport:
        """The transport, which is made in the event loop that uses it."""
        if self._opened is None:
            self._opened = _open(self._kind, self.endpoint, self._options)
        return self._opened

    async def _readiness_error(self) -> str:
        try:
            versions = await self._transport.call(
                GetStatus(),
                deadline_seconds=readiness.PROBE_SECONDS,
                retries=readiness.NO_RETRIES,
            )
        except ServingError as error:
            return str(error)
        return readiness.reason(versions, self.endpoint)

    async def _call(self, operation: Operation[Any], deadline_seconds: float | None) -> Any:
        seconds = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        return await self._transport.call(
            operation, deadline_seconds=seconds, retries=self._options.retries
        )
