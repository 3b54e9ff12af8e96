"""Repeats an operation within its deadline: after a failed connection, or as the server asks."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import tenacity

from serving.operations.errors import ServingError
from serving.transports.options import Retries

Result = TypeVar('Result')


def run(attempt: Callable[[float], Result], *, retries: Retries, deadline_seconds: float) -> Result:
    """Returns the result of an attempt, which gets the seconds that are left.

    Raises:
      ServingError: Of the last attempt. There is none after the deadline.
    """
    end = time.monotonic() + deadline_seconds
    retrying = tenacity.Retrying(**_rules(retries, deadline_seconds))
    return retrying(lambda: attempt(end - time.monotonic()))


async def run_async(
    attempt: Callable[[float], Awaitable[Result]], *, retries: Retries, deadline_seconds: float
) -> Result:
    """Does the same as `run` without blocking."""
    end = time.monotonic() + deadline_seconds

    async def call() -> Result:
        return await attempt(end - time.monotonic())

    return await tenacity.AsyncRetrying(**_rules(retries, deadline_seconds))(call)


def _rules(retries: Retries, deadline_seconds: float) -> dict[str, Any]:
    draw = tenacity.wait_random_exponential(
        multiplier=retries.wait_seconds, max=retries.max_wait_seconds
    )

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        hint = error.retry_after_seconds if isinstance(error, ServingError) else None
        if hint is None:
            return draw(state)
        return hint + random.uniform(0, retries.wait_seconds)  # noqa: S311 (clients must differ)

    return {
        'stop': tenacity.stop_after_attempt(retries.attempts)
        | tenacity.stop_before_delay(deadline_seconds),
        'wait': wait,
        'retry': tenacity.retry_if_exception(_is_retryable),
        'reraise': True,
    }


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ServingError) and error.is_retryable
