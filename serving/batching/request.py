"""A request that waits for its run: its deadline and its result."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from serving.batching.merging import Shape
from serving.protocol.status import Code, RequestError
from serving.runtimes.model import Arrays, Outputs


@dataclass(eq=False)
class WaitingRequest:
    """A request, seen by the thread that sent it and by the thread that runs it.

    Attributes:
      signature_name: Name of the signature.
      inputs: Arrays by input name.
      outputs: Names of the outputs to compute; empty means all.
      deadline: On the monotonic clock; None for none.
      shape: What decides whether it can be merged; None if it must run alone.
      queued_at: On the monotonic clock.
    """

    signature_name: str
    inputs: Arrays
    outputs: Sequence[str]
    deadline: float | None
    shape: Shape | None
    queued_at: float = field(default_factory=time.monotonic)
    _result: Future[Outputs] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        """Rows of the inputs; 1 if the request must run alone."""
        return self.shape.rows if self.shape else 1

    @property
    def remaining_seconds(self) -> float | None:
        """Time until the deadline."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def wait(self) -> Outputs:
        """Returns the outputs, or raises the error of the run, at the latest at the deadline.

        Raises:
          RequestError: The reason of a failure.
        """
        try:
            return self._result.result(self.remaining_seconds)
        except TimeoutError as error:
            self._result.cancel()  # if it still waits, it is not run
            raise expired() from error

    def start(self) -> bool:
        """Returns whether it is to be run: not if its deadline has passed."""
        if not self._result.set_running_or_notify_cancel():
            return False
        remaining = self.remaining_seconds
        if remaining is not None and remaining <= 0:
            self.fail(expired())
            return False
        return True

    def succeed(self, outputs: Outputs) -> None:
        """Sets the outputs."""
        self._result.set_result(outputs)

    def fail(self, error: Exception) -> None:
        """Sets the error."""
        self._result.set_exception(error)


def expired() -> RequestError:
    """Returns the error of a request whose deadline has passed."""
    return RequestError(Code.DEADLINE_EXCEEDED, 'the deadline expired before the run completed')
