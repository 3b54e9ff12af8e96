"""Sends operations over REST with kept connections, on asyncio.

A deadline limits the complete exchange: httpx's own time limits hold for each read, so that a
server that sends byte by byte would extend them.
"""

import asyncio
import email.utils
import http.client
import json
import time
from http import HTTPStatus
from typing import Any, TypeVar

import httpx

from catalog.errors import UserError
from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.operations.operation import HttpRequest, Operation
from serving.protocol.status import HTTP_STATUS, Code
from serving.transports import retry
from serving.transports.options import ConnectionOptions, Retries

Result = TypeVar('Result')

# The first code of each status, and what gateways in between answer.
_CODES = {status: code for code, status in reversed(HTTP_STATUS.items())}
_CODES |= {
    HTTPStatus.INTERNAL_SERVER_ERROR: Code.INTERNAL,
    HTTPStatus.CONFLICT: Code.ABORTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    HTTPStatus.BAD_GATEWAY: Code.UNAVAILABLE,
}
_ENDED = ('disconnected', 'peer closed')  # in the messages of h11: the connection ended too early


class RestTransport:
    """The REST API of a server. Belongs to one event loop.

    Args:
      endpoint: The model.
      options: How to connect.
    """

    def __init__(self, endpoint: Endpoint, options: ConnectionOptions) -> None:
        self._endpoint = endpoint
        self._options = options
        scheme = 'https' if options.tls else 'http'
        try:
            self._client = httpx.AsyncClient(
                base_url=f'{scheme}://{endpoint.server}',
                headers=options.metadata(),
                verify=options.tls.context() if options.tls else False,
                timeout=None,  # noqa: S113  # nosec B113 (see the docstring of the module)
                trust_env=False,  # a server is reached directly, as over gRPC
            )
        except httpx.InvalidURL as error:
            raise UserError(f'server must be HOST:PORT, got {endpoint.server!r}') from error

    async def call(
        self, operation: Operation[Result], *, deadline_seconds: float, retries: Retries
    ) -> Result:
        """Returns the result of an operation.

        Raises:
          ServingError: If it fails.
        """
        request = operation.to_http(self._endpoint)
        if len(request.body) > self._options.max_message_bytes:
            raise self._too_large(f'the request has {len(request.body)}')

        async def attempt(left_seconds: float) -> tuple[httpx.Response, bytes]:
            try:
                async with asyncio.timeout(left_seconds):
                    response, content = await self._exchange(request)
            except TimeoutError as error:
                raise self._error(
                    f'no response within {deadline_seconds:g} s', Code.DEADLINE_EXCEEDED
                ) from error
            self._check_status(response, content)
            return response, content

        response, content = await retry.run_async(
            attempt, retries=retries, deadline_seconds=deadline_seconds
        )
        document = self._parse(response, content)
        try:
            return operation.parse_json(document)
        except ValueError as error:
            raise self._error(str(error), Code.INTERNAL) from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _exchange(self, request: HttpRequest) -> tuple[httpx.Response, bytes]:
        try:
            async with self._client.stream(
                request.method,
                request.path,
                content=request.body,
                headers={'content-type': 'application/json'},
            ) as response:
                return response, await self._read(response)
        except httpx.RemoteProtocolError as error:
            if any(text in str(error) for text in _ENDED):
                raise self._error(str(error), Code.UNAVAILABLE) from error
            raise self._error(
                'must respond with HTTP, got another protocol; give the REST port, or '
                '--transport=grpc',
                Code.UNKNOWN,
            ) from error
        except httpx.DecodingError as error:
            raise self._error(f'invalid compressed response: {error}', Code.INTERNAL) from error
        except (httpx.RequestError, OSError, UnicodeError) as error:  # httpx lets TLS's errors pass
            text = str(error) or type(error).__name__
            raise self._error(text, Code.UNAVAILABLE) from error

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > self._options.max_message_bytes:
                raise self._too_large(f'the response has {len(content)} or more')
        return bytes(content)

    def _check_status(self, response: httpx.Response, content: bytes) -> None:
        if response.status_code == HTTPStatus.OK:
            return
        message = str(self._parse(response, content).get('error'))
        raise self._response_error(response, f': {message}', message=message)

    def _parse(self, response: httpx.Response, content: bytes) -> dict[str, Any]:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._response_error(response, ', not JSON') from error
        if not isinstance(document, dict):
            raise self._response_error(response, ', not a JSON object')
        return document

    def _response_error(
        self, response: httpx.Response, text: str, *, message: str = ''
    ) -> ServingError:
        status = response.status_code
        reason = f'{status} {http.client.responses.get(status, "(unknown status)")}'
        code = _CODES.get(status, Code.UNKNOWN)
        return ServingError(
            f'{self._where}: {reason}{text}',
            code=Code.INTERNAL if code is Code.OK else code,
            message=message or f'{reason}{text}',
            http_status=status,
            retry_after_seconds=_retry_after(response.headers.get('retry-after')),
        )

    def _error(self, message: str, code: Code) -> ServingError:
        return ServingError(f'{self._where}: {message}', code=code, message=message)

    def _too_large(self, size: str) -> ServingError:
        limit = self._options.max_message_bytes
        message = f'a message must have at most {limit} bytes, {size}'
        return self._error(message, Code.RESOURCE_EXHAUSTED)

    @property
    def _where(self) -> str:
        return f'{self._endpoint.server} over REST'


def _retry_after(header: str | None) -> float | None:
    """Returns the seconds of Retry-After, a number or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())
