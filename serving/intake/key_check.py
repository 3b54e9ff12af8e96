"""Refuses requests without a known API key, before their bodies are received."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.intake.errors import RequestFailure, to_response
from serving.intake.keys import KeyFile

DOCS_FILES = '/docs/files'  # scripts and styles of the page /docs
OPEN_PATHS = frozenset({'/healthz', '/readyz', '/docs', '/openapi.json'})


class KeyCheck:
    """ASGI middleware. `scope['state']['key_owner']` gets the name of the key's owner."""

    def __init__(self, app: ASGIApp, *, keys: KeyFile) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the application, or answers with the error."""
        path = scope.get('path', '')
        is_open = path in OPEN_PATHS or path.startswith(f'{DOCS_FILES}/')
        if scope['type'] != 'http' or is_open:
            return await self._app(scope, receive, send)
        state = scope.setdefault('state', {})
        state['key_owner'] = self._keys.owner(_key(Headers(scope=scope)))
        if state['key_owner'] is not None:
            return await self._app(scope, receive, send)
        failure = RequestFailure(
            401, 'unknown_key', 'This needs a known API key, in the header X-API-Key.'
        )
        state['failure'] = failure
        return await to_response(failure)(scope, receive, send)


def _key(headers: Headers) -> str:
    scheme, _, token = headers.get('authorization', '').partition(' ')
    return headers.get('x-api-key') or (token.strip() if scheme.lower() == 'bearer' else '')
