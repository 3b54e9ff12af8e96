"""A server of the Open Inference Protocol v2 over gRPC: OpenVINO Model Server, Triton, KServe.

Such servers run converted networks, which take pixels (`serving.convert`). So the gateway decodes
and fits the pictures, by the rule of `catalog.pixels`, and ranks the probabilities.
https://github.com/kserve/open-inference-protocol
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from catalog import categories, pixels, storage
from catalog.categories import Categories
from catalog.networks import spec
from catalog.networks.network import IMAGES, OUTPUTS, PRODUCT, Outputs
from catalog.networks.spec import NetworkSpec
from serving.backends import inference_tensors
from serving.backends.backend import Answer
from serving.clients import readiness
from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.operations.predict import Outputs as Arrays
from serving.protocol import inference_messages as messages
from serving.protocol.names import EMBEDDING, EMBEDDING_SIGNATURE, PRODUCT_SIGNATURE
from serving.protocol.status import Code
from serving.runtimes.answers import Answers
from serving.transports import grpc_channel, retry
from serving.transports.options import ConnectionOptions, Retries

RETRIES = Retries(attempts=3, wait_seconds=0.1, max_wait_seconds=0.5)

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ServedNetwork:
    """What the gateway knows of a network: the size of its pictures, and its categories."""

    spec: NetworkSpec
    tree: Categories


def read_network(folder: str) -> ServedNetwork:
    """Reads a version folder.

    Raises:
      UserError: If it is not one of `serving.convert`.
    """
    path = storage.join(folder, 'assets', categories.FILE_NAME)
    return ServedNetwork(spec.read(folder), categories.load(path))


class OpenInference:
    """A converted network on a server of the protocol."""

    def __init__(
        self, endpoint: Endpoint, options: ConnectionOptions, network: ServedNetwork
    ) -> None:
        """Must be called in the event loop that makes the calls; opens no connection yet."""
        self._endpoint = endpoint
        self._metadata = options.metadata()
        self._spec = network.spec
        self._classes = len(network.tree)
        self._answers = Answers(
            network.tree, top_k=self._spec.top_k, level_threshold=self._spec.level_threshold
        )
        settings = grpc_channel.channel_options(options)
        self._channel = (
            grpc.aio.secure_channel(
                endpoint.server, grpc_channel.credentials(options.tls), settings
            )
            if options.tls
            else grpc.aio.insecure_channel(endpoint.server, settings)
        )

    def prepare(self, picture: bytes) -> Image:
        """Returns pixels of the network's size, uint8 [H, W, 3]."""
        image = pixels.decode(picture)
        fitted = pixels.fit(image, height=self._spec.height, width=self._spec.width)
        return np.asarray(fitted)

    async def run(self, signature: str, pictures: Sequence[Image], seconds: float) -> Answer:
        """Runs the network, and returns what the signature of the exported model would."""
        is_product = signature == PRODUCT_SIGNATURE
        count = len(pictures)
        request = messages.ModelInferRequest()
        request.model_name = self._endpoint.model
        inference_tensors.add_input(request, IMAGES, np.stack(pictures))
        product = np.zeros(count, np.int64) if is_product else np.arange(count, dtype=np.int64)
        inference_tensors.add_input(request, PRODUCT, product)
        for name in OUTPUTS:
            request.outputs.add(name=name)
        response = await self._call(
            'ModelInfer', request, messages.ModelInferResponse, seconds=seconds, retries=RETRIES
        )
        found = self._read(response, pictures=count, products=1 if is_product else count)
        return Answer(self._answer(signature, found), str(response.model_version))

    async def readiness_error(self, seconds: float) -> str:
        """Returns '' if the server says that the model is ready."""
        request = messages.ModelReadyRequest()
        request.name = self._endpoint.model
        try:
            response = await self._call(
                'ModelReady',
                request,
                messages.ModelReadyResponse,
                seconds=seconds,
                retries=readiness.NO_RETRIES,
            )
        except ServingError as error:
            return str(error)
        return '' if response.ready else self._endpoint.not_available

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    def _answer(self, signature: str, found: Outputs) -> Arrays:
        if signature == EMBEDDING_SIGNATURE:
            return {EMBEDDING: found.embedding}
        if signature == PRODUCT_SIGNATURE:
            level = self._answers.deepest_level(found.products)
            return {**_as_text(self._answers.top(found.products)), 'level': level}
        return _as_text(self._answers.top(found.pictures))

    def _read(self, response: Any, *, pictures: int, products: int) -> Outputs:
        try:
            arrays = inference_tensors.read_outputs(response)
            found = Outputs(*(arrays[name].astype(np.float32) for name in OUTPUTS))
        except (ValueError, KeyError) as error:
            raise self._broken(f'invalid output: {error}') from error
        expected = ((pictures, self._classes), (products, self._classes))
        if (found.pictures.shape, found.products.shape) != expected:
            raise self._broken(
                f'pictures and products must have shapes {expected}, got '
                f'{found.pictures.shape} and {found.products.shape}; is it another model?'
            )
        return found

    def _broken(self, text: str) -> ServingError:
        return ServingError(f'{self._endpoint.server} over gRPC: {text}', code=Code.INTERNAL)

    async def _call(
        self, method: str, request: Any, response_class: Any, *, seconds: float, retries: Retries
    ) -> Any:
        call = self._channel.unary_unary(
            messages.SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_class.FromString,
        )

        async def attempt(left_seconds: float) -> Any:
            try:
                return await call(request, timeout=left_seconds, metadata=self._metadata)
            except grpc.RpcError as error:
                raise grpc_channel.call_error(self._endpoint, error) from error

        return await retry.run_async(attempt, retries=retries, deadline_seconds=seconds)


def _as_text(outputs: Arrays) -> Arrays:
    return {
        name: np.array([[text.decode() for text in row] for row in array], object)
        if array.dtype.hasobject
        else array
        for name, array in outputs.items()
    }
