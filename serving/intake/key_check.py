"""Refuses requests without a known API key, before their bodies are received."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.intake.errors import RequestFailure, to_response
from serving.intake.keys import ApiKeys

OPEN_PATHS = frozenset({'/healthz', '/readyz', '/docs', '/openapi.json'})


class KeyCheck:
    """ASGI middleware. `scope['state']['key_owner']` gets the name of the key's owner."""

    def __init__(self, app: ASGIApp, *, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the application, or answers with the error."""
        if scope['type'] != 'http' or scope['path'] in OPEN_PATHS:
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
