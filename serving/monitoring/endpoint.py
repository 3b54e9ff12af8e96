"""The HTTP path of the metrics, in front of an ASGI application."""

from typing import Any

from starlette.responses import Response

from serving.monitoring.exposition import CONTENT_TYPE
from serving.monitoring.server_metrics import ServerMetrics


class MetricsEndpoint:
    """An ASGI application that answers one path, and passes all other requests on."""

    def __init__(self, application: Any, metrics: ServerMetrics, *, path: str) -> None:
        """`path` begins with a slash."""
        self._application = application
        self._metrics = metrics
        self._path = path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""
        if scope['type'] != 'http' or scope['path'] != self._path:
            await self._application(scope, receive, send)
            return
        if scope['method'] not in ('GET', 'HEAD'):
            response = Response(status_code=405, headers={'Allow': 'GET, HEAD'})
        else:
            response = Response(self._metrics.text(), media_type=CONTENT_TYPE)
        await response(scope, receive, send)
