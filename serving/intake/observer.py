"""One line in the log and one count for each request; and its id, in the header X-Request-ID."""

import re
import time
import uuid
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog import terminal
from serving.intake.errors import RequestFailure, to_response
from serving.observation import json_log
from serving.observation.metrics import Metrics

_ID = re.compile(r'[\w.-]{1,64}', re.ASCII)
_QUIET = frozenset({'/healthz', '/readyz', '/metrics'})  # probes would fill the log
_OTHER_PATH = 'other'
_MAX_PATH = 200  # characters


class Observer:
    """ASGI middleware around all others. A bug becomes a response with the status 500."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, paths: frozenset[str]) -> None:
        """`paths` are the paths to count by name."""
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the application and records the outcome."""
        if scope['type'] != 'http':
            return await self._app(scope, receive, send)
        started = time.monotonic()
        given = Headers(scope=scope).get('x-request-id', '')
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        status = 0

        async def observe(message: Message) -> None:
            nonlocal status
            if message['type'] == 'http.response.start':
                status = message['status']
                MutableHeaders(scope=message)['X-Request-ID'] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observe)
        except Exception as error:
            json_log.exception('a request failed by an error of the gateway', id=request_id)
            failure = RequestFailure(
                500,
                'bug',
                f'The gateway failed; its log has the reason under {request_id}.',
                detail=type(error).__name__,
            )
            scope['state']['failure'] = failure
            if not status:
                await to_response(failure)(scope, receive, observe)
        self._record(scope, request_id, status, time.monotonic() - started)
        return None

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        path = scope['path']
        self._metrics.request(
            path=path if path in self._paths else _OTHER_PATH, status=status, seconds=seconds
        )
        state = scope.get('state', {})
        failure: RequestFailure | None = state.get('failure')
        if failure is not None:
            self._metrics.error(failure.reason)
        if path in _QUIET and status == HTTPStatus.OK:
            return
        client = scope.get('client')
        fields = {
            'id': request_id,
            'method': scope['method'],
            'path': terminal.escape(path)[:_MAX_PATH],
            'status': status,
            'seconds': round(seconds, 4),
            'client': client[0] if client else None,
            'key': state.get('key_owner'),
            'reason': failure.reason if failure else None,
            'detail': failure.detail or failure.message if failure else None,
        }
        json_log.info(
            'request', **{name: value for name, value in fields.items() if value is not None}
        )
