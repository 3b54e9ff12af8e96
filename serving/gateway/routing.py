"""What the paths share: the request's limits and times, and the errors of their description."""

import time
from typing import Annotated

from fastapi import File, Request, Security, UploadFile
from fastapi.security import APIKeyHeader, HTTPBearer

from serving.gateway.classifier import Classifier
from serving.gateway.responses import error_responses
from serving.intake.options import Limits

KEY_SCHEMES = [  # described here, checked by `intake.key_check` before a body is received
    Security(APIKeyHeader(name='X-API-Key', auto_error=False)),
    Security(HTTPBearer(auto_error=False)),
]
Files = Annotated[
    list[UploadFile],
    File(
        description='Photos of one product.',
        # With `format`, Swagger UI lets the visitor choose files, not type their bytes.
        json_schema_extra={
            'items': {
                'type': 'string',
                'format': 'binary',
                'contentMediaType': 'application/octet-stream',
            }
        },
    ),
]
ERRORS = error_responses(400, 401, 408, 413, 422, 429, 500, 502, 503, 504)


def classifier(request: Request) -> Classifier:
    """Returns the classifier of the application."""
    found: Classifier = request.app.state.classifier
    return found


def deadline(request: Request) -> float:
    """Returns when the answer must be there, as `time.monotonic()`."""
    limits: Limits = request.app.state.settings.limits
    return float(request.state.received) + limits.timeout_seconds


def response_time(request: Request) -> float:
    """Returns the seconds since the headers of the request."""
    return round(time.monotonic() - request.state.started, 6)
