"""Calls of the gateway. An error is one sentence for people: what happened, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

SIMILAR_PRODUCTS = 6
TIMEOUT_SECONDS = 60  # longer than the gateway's own limits, whose sentences are better

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


class GatewayError(Exception):
    """An error as one sentence.

    Attributes:
      transient: Whether the same photos may succeed later.
    """

    def __init__(self, sentence: str, *, transient: bool) -> None:
        super().__init__(sentence)
        self.transient = transient


@dataclass(frozen=True)
class Photo:
    """A photo of the product: the name and the bytes of a file."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Gateway:
    """A gateway.

    Attributes:
      url: Its address, such as http://127.0.0.1:8080.
      api_key: Key for each request; empty if the gateway needs none.
    """

    url: str
    api_key: str = ''

    def classify(self, photos: Sequence[Photo]) -> dict[str, Any]:
        """Returns the answer about the product that the photos show: `ProductPrediction`.

        Raises:
          GatewayError: If there is none.
        """
        return self._json(self._post('/v1/products:classify', photos))

    def similar(self, photos: Sequence[Photo]) -> dict[str, Any] | None:
        """Returns similar products: `SimilarProducts`; None if the gateway has no index.

        Raises:
          GatewayError: If there is no answer.
        """
        response = self._post(f'/v1/similar?k={SIMILAR_PRODUCTS}', photos)
        return None if response.status_code == HTTPStatus.NOT_FOUND else self._json(response)

    def thumbnail(self, path: str) -> bytes | None:
        """Returns the small picture of a similar product; None if there is none.

        Raises:
          GatewayError: If there is no answer.
        """
        response = self._send('GET', path)
        return response.content if response.is_success else None

    def _post(self, path: str, photos: Sequence[Photo]) -> httpx.Response:
        return self._send('POST', path, [('files', (photo.name, photo.data)) for photo in photos])

    def _send(
        self, method: str, path: str, files: list[tuple[str, tuple[str, bytes]]] | None = None
    ) -> httpx.Response:
        headers = {'X-API-Key': self.api_key} if self.api_key else {}
        url = f'{self.url}{path}'
        try:
            return httpx.request(method, url, files=files, headers=headers, timeout=TIMEOUT_SECONDS)
        except httpx.TimeoutException as error:
            raise GatewayError(
                f'The gateway at {self.url} has not answered within {TIMEOUT_SECONDS} seconds. '
                'Try again; if it happens again, use fewer or smaller photos.',
                transient=True,
            ) from error
        except httpx.TransportError as error:
            raise GatewayError(
                f'The gateway at {self.url} cannot be reached. '
                'Start it, or wait until it runs again, and then try again.',
                transient=True,
            ) from error

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.is_success and isinstance(content, dict):
            return content
        if not isinstance(content, dict) or not {'error', 'reason'} <= content.keys():
            raise GatewayError(
                f'{self.url} is not a gateway: it answered with status {response.status_code}. '
                'Start this page with the address of a gateway.',
                transient=False,
            )
        raise GatewayError(
            _sentence(content['error']), transient=response.status_code in _TRANSIENT
        )


def _sentence(error: str) -> str:
    return error if error.endswith('.') else f'{error}.'
