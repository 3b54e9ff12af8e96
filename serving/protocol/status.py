"""Status codes, the one exception of a failed request, and the HTTP status of each code.

Codes: https://grpc.io/docs/guides/status-codes. The HTTP statuses are TensorFlow Serving's.
"""

import enum
import traceback


class Code(enum.IntEnum):
    """The canonical status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class RequestError(Exception):
    """A failed request. The client receives the code and the message.

    With `retry_after_seconds` it also receives a hint: in the HTTP header Retry-After, or in gRPC's
    trailing metadata grpc-retry-pushback-ms, which gRPC clients with a retry policy follow.
    """

    def __init__(
        self, code: Code, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[type['RequestError'], tuple[Code, str]]:
        return type(self), (self.code, self.message)  # for another process


def invalid_argument(message: str) -> RequestError:
    """Returns a RequestError with the code INVALID_ARGUMENT."""
    return RequestError(Code.INVALID_ARGUMENT, message)


def free_locals(error: BaseException | None) -> None:
    """Frees the local variables of the functions that failed: the request, above all.

    An error and its traceback refer to each other, so that otherwise requests of hundreds of
    megabytes would stay in memory until the garbage collector runs.
    """
    freed: set[int] = set()
    while error and id(error) not in freed:  # an error can be its own cause
        freed.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__
