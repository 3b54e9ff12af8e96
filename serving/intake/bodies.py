"""Receives the body of a request before the application runs, within limits of size and time.

The framework would read a form of any size, for any time. Here a body is in memory once, its chunks
are freed as the form parser takes them, and the bodies of all requests together have a limit.
"""

import asyncio
import time
from collections import deque
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.intake.errors import RequestFailure, to_response
from serving.intake.options import Limits


class ClientLeft(Exception):
    """The client closed its connection."""


class Bodies:
    """ASGI middleware. `scope['state']` gets `started` and `received`, from `time.monotonic()`."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._buffered = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receives the body and calls the application, or answers with the error."""
        if scope['type'] != 'http':
            return await self._app(scope, receive, send)
        state: dict[str, Any] = scope.setdefault('state', {})
        state['started'] = time.monotonic()
        chunks: deque[bytes] = deque()
        try:
            await self._receive(scope, receive, chunks)
            state['received'] = time.monotonic()
            await self._app(scope, self._replay(chunks, receive), send)
        except ClientLeft:
            return None
        except RequestFailure as failure:
            state['failure'] = failure
            await to_response(failure)(scope, receive, send)
        finally:
            self._buffered -= sum(map(len, chunks))
        return None

    async def _receive(self, scope: Scope, receive: Receive, chunks: deque[bytes]) -> None:
        declared = Headers(scope=scope).get('content-length', '0')
        self._check_size(int(declared) if declared.isdecimal() else 0)
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                size = 0
                async for chunk in _stream(receive):
                    size += len(chunk)
                    self._check_size(size)
                    self._buffer(chunk, chunks)
        except TimeoutError as error:
            raise RequestFailure(
                408,
                'slow_upload',
                f'The photos did not arrive within {self._limits.upload_seconds:g} seconds; use '
                'smaller photos or a faster connection.',
            ) from error

    def _check_size(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise RequestFailure(
                413,
                'request_too_large',
                f'A request can have {self._limits.photos} photos of up to '
                f'{self._limits.photo_mb:g} MB; use fewer or smaller photos.',
            )

    def _buffer(self, chunk: bytes, chunks: deque[bytes]) -> None:
        if self._buffered + len(chunk) > self._limits.buffered_bytes:
            raise RequestFailure(
                503, 'uploads_full', 'Too many photos are being uploaded; try again in a moment.'
            )
        self._buffered += len(chunk)
        chunks.append(chunk)

    def _replay(self, chunks: deque[bytes], receive: Receive) -> Receive:
        done = False

        async def replay() -> Message:
            nonlocal done
            if done:
                return await receive()
            chunk = chunks.popleft() if chunks else b''
            self._buffered -= len(chunk)
            done = not chunks
            return {'type': 'http.request', 'body': chunk, 'more_body': not done}

        return replay


async def _stream(receive: Receive) -> Any:
    more = True
    while more:
        message = await receive()
        if message['type'] == 'http.disconnect':
            raise ClientLeft
        more = message.get('more_body', False)
        if message.get('body'):
            yield message['body']
