"""The one exception of the clients."""

from serving.protocol.status import Code


class ServingError(Exception):
    """An operation failed: the server refused it, was not reached, or sent an invalid response.

    Attributes:
      code: The status code. Over REST, that of the HTTP status.
      message: The server's own words, or what was wrong with its response.
      http_status: Over REST, the HTTP status of the response; None if there was none.
      retry_after_seconds: When the server asks to try again; None if it does not.
    """

    def __init__(
        self,
        text: str,
        *,
        code: Code = Code.UNKNOWN,
        message: str = '',
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.message = message or text
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_retryable(self) -> bool:
        """Whether another attempt may succeed: nothing answered, or the server asks for one."""
        hinted = self.code is Code.RESOURCE_EXHAUSTED and self.retry_after_seconds is not None
        return self.code is Code.UNAVAILABLE or hinted
