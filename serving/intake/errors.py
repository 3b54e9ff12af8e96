"""One sentence for people, a word for programs and an HTTP status for each error."""

from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from serving.operations.errors import ServingError
from serving.protocol.status import Code

RETRY_SECONDS = 1  # of the header Retry-After

_UNAVAILABLE = (
    503,
    'model_unavailable',
    'The model is not available at the moment; try again in a moment.',
)
_BROKEN = (
    502,
    'model_broken',
    'The model gave no usable answer; the log of the gateway has the reason.',
)
_SERVER_ERRORS = {
    Code.UNAVAILABLE: _UNAVAILABLE,
    Code.NOT_FOUND: _UNAVAILABLE,  # the model is not loaded
    Code.RESOURCE_EXHAUSTED: (
        429,
        'model_overloaded',
        'The model has too many requests; try again in a moment.',
    ),
    Code.DEADLINE_EXCEEDED: (
        504,
        'model_late',
        'The model did not answer in time; try again.',
    ),
    Code.INVALID_ARGUMENT: (
        422,
        'model_refused',
        'The model cannot read one of the photos; try other photos.',
    ),
}


class RequestFailure(Exception):
    """A request that ends with an error.

    Attributes:
      status: HTTP status.
      reason: One word for programs.
      message: One sentence for people.
      detail: What only the log tells.
      photo: Name of the photo that is the cause, if it is one.
    """

    def __init__(
        self, status: int, reason: str, message: str, *, detail: str = '', photo: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.detail = detail
        self.photo = photo

    def to_json(self) -> dict[str, str]:
        """Returns the body of the response."""
        photo = {} if self.photo is None else {'photo': self.photo}
        return {'error': self.message, 'reason': self.reason, **photo}


def to_response(failure: RequestFailure) -> JSONResponse:
    """Returns the response of an error."""
    headers = {}
    if failure.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers['Retry-After'] = str(RETRY_SECONDS)
    if failure.status == HTTPStatus.UNAUTHORIZED:
        headers['WWW-Authenticate'] = 'Bearer'
    return JSONResponse(failure.to_json(), failure.status, headers=headers)


def from_server(error: ServingError) -> RequestFailure:
    """Returns the error of a request whose call of the model failed."""
    status, reason, message = _SERVER_ERRORS.get(error.code, _BROKEN)
    return RequestFailure(status, reason, message, detail=' '.join(str(error).split()))


def from_http(request: Request, error: HTTPException) -> RequestFailure:
    """Returns the error of a path, a method or a form that the framework refuses."""
    match error.status_code:
        case 404:
            message = f'There is nothing at {request.url.path}; /docs lists the paths.'
        case 405:
            message = f'{request.url.path} does not take {request.method}; /docs lists the paths.'
        case _:
            message = f'The request cannot be read: {error.detail}'
    reason = HTTPStatus(error.status_code).name.lower()
    return RequestFailure(error.status_code, reason, message)


def from_validation(error: RequestValidationError) -> RequestFailure:
    """Returns the error of a request whose fields are missing or wrong."""
    return RequestFailure(422, 'invalid_request', f'{_sentence(error.errors()[0])}; see /docs.')


def _sentence(first: dict[str, Any]) -> str:
    place, *names = (str(part) for part in first['loc'])
    name = names[0] if names else place
    if place == 'body':
        return f'Send the photos as files in the field {name!r} of a multipart form'
    return f'The parameter {name!r} is wrong: {first["msg"].lower()}'
