"""Reads the bodies of requests, within limits of size and memory."""

import contextlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from serving.protocol.status import Code, RequestError, invalid_argument

MAX_UNZIPPED_BYTES = 100 << 20  # as in TensorFlow Serving
BUFFERED_REQUESTS = 4  # of the maximum size, whose bodies may be in memory at the same time


class BodyTooLarge(Exception):
    """A body exceeds the limit of the server; HTTP status 413."""


@dataclass
class BodyReader:
    """Reads bodies in one event loop.

    Attributes:
      max_bytes: Limit of one body, as it is sent.
    """

    max_bytes: int
    _buffered_bytes: int = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yields the body, unzipped; its memory counts as used until the block ends.

        Raises:
          BodyTooLarge: If it exceeds `max_bytes`.
          RequestError: RESOURCE_EXHAUSTED if the bodies of other requests take up the memory,
            INVALID_ARGUMENT for invalid gzip data.
          ClientDisconnect: If the client closes its connection.
        """
        declared = request.headers.get('content-length', '0')
        self._check_size(int(declared) if declared.isdigit() else 0)
        chunks: list[bytes] = []
        size = reserved = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self._check_size(size)
                self._reserve(len(chunk))
                reserved += len(chunk)
                chunks.append(chunk)
            body = b''.join(chunks)
            chunks.clear()
            if 'gzip' in request.headers.get('content-encoding', ''):
                body = await run_in_threadpool(_unzip, body)
            yield body
        finally:
            self._buffered_bytes -= reserved

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise BodyTooLarge(
                f'a request must have at most {self.max_bytes} bytes (--max_request_bytes), got '
                f'{size} or more'
            )

    def _reserve(self, size: int) -> None:
        if self._buffered_bytes + size > BUFFERED_REQUESTS * self.max_bytes:
            raise RequestError(
                Code.RESOURCE_EXHAUSTED, 'the server is receiving too many large requests; retry'
            )
        self._buffered_bytes += size


def _unzip(data: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)  # gzip
    try:
        unzipped = decompressor.decompress(data, MAX_UNZIPPED_BYTES + 1)
    except zlib.error as error:
        raise invalid_argument(f'the body must be valid gzip data: {error}') from error
    if len(unzipped) > MAX_UNZIPPED_BYTES:
        raise invalid_argument(f'the body must unzip to at most {MAX_UNZIPPED_BYTES} bytes')
    if not decompressor.eof:
        raise invalid_argument('the body must be complete gzip data, got a part')
    return unzipped
