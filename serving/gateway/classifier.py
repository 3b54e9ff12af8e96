"""One call of the model, counted: from photos to categories."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.backends.backend import Answer, Backend
from serving.clients import requests
from serving.clients.prediction import Prediction, parse_outputs
from serving.gateway.photos import Photos
from serving.intake.admission import Admission
from serving.intake.errors import from_server
from serving.observation.drift import ClassMix
from serving.observation.metrics import Metrics
from serving.operations.errors import ServingError
from serving.protocol.names import EMBEDDING_SIGNATURE, PRODUCT_SIGNATURE
from serving.protocol.status import Code


@dataclass(frozen=True)
class Classified:
    """A prediction of the model.

    Attributes:
      prediction: The categories.
      version: Version of the model.
      seconds: Time of the model's server.
    """

    prediction: Prediction
    version: str
    seconds: float


@dataclass(frozen=True)
class Embedded:
    """Embeddings of photos.

    Attributes:
      embeddings: float32 [N, d], each of length 1.
      version: Version of the model.
      seconds: Time of the model's server.
    """

    embeddings: npt.NDArray[np.float32]
    version: str
    seconds: float


@dataclass(frozen=True)
class Classifier:
    """Calls the model within the limits of the gateway.

    Attributes:
      backend: The model's server.
      photos: Prepares photos for it.
      admission: The queue before it.
      metrics: Counts the calls and the answers.
      mix: The class mix of the answers, if there is a prior.
    """

    backend: Backend
    photos: Photos
    admission: Admission
    metrics: Metrics
    mix: ClassMix | None

    async def classify(
        self, signature: str, photos: dict[str, bytes], *, deadline: float
    ) -> Classified:
        """Classifies a photo, or with the signature `product` the product that photos show.

        Args:
          signature: `serving_default` or `product`.
          photos: Encoded pictures by name.
          deadline: When the answer must be there, as `time.monotonic()`.

        Raises:
          RequestFailure: If a photo is bad, or there is no answer in time.
        """
        answer, seconds = await self._run(signature, photos, deadline=deadline)
        try:
            [prediction] = parse_outputs(
                answer.outputs, count=1, of_products=signature == PRODUCT_SIGNATURE
            )
        except ServingError as error:
            raise from_server(error) from error
        best = prediction.categories[0]
        self.metrics.answer(signature, confidence=best.confidence, level=prediction.level)
        if self.mix is not None:
            self.mix.add(best.label)
        return Classified(prediction, answer.version, seconds)

    async def embed(self, photos: dict[str, bytes], *, deadline: float) -> Embedded:
        """Returns the embeddings of photos.

        Raises:
          RequestFailure: As `classify`.
        """
        answer, seconds = await self._run(EMBEDDING_SIGNATURE, photos, deadline=deadline)
        try:
            embeddings = requests.parse_embeddings(answer.outputs, count=len(photos))
        except ServingError as error:
            raise from_server(error) from error
        return Embedded(embeddings, answer.version, seconds)

    async def _run(
        self, signature: str, photos: dict[str, bytes], *, deadline: float
    ) -> tuple[Answer, float]:
        arrived = time.monotonic()
        try:
            async with asyncio.timeout(max(0, deadline - arrived)), self.admission.admit():
                queued = time.monotonic() - arrived
                prepared = await self.photos.prepare(photos)
                started = time.monotonic()
                answer = await self.backend.run(signature, prepared, deadline - started)
                seconds = time.monotonic() - started
        except ServingError as error:
            raise from_server(error) from error
        except TimeoutError as error:
            raise from_server(
                ServingError('the deadline of the request', code=Code.DEADLINE_EXCEEDED)
            ) from error
        self.metrics.inference(signature, queue_seconds=queued, seconds=seconds)
        return answer, seconds
