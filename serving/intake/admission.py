"""The bounded queue before the model: who runs now, who waits, and who is refused at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from serving.intake.errors import RequestFailure


class Admission:
    """Lets a number of requests run, in the order of their arrival; used in one event loop."""

    def __init__(self, *, running: int, waiting: int) -> None:
        """Limits the requests that run, and those that wait."""
        self._slots = asyncio.Semaphore(running)
        self._max_waiting = waiting
        self.running = 0
        self.waiting = 0

    @contextlib.asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Waits for a slot, which is free again after the block.

        Raises:
          RequestFailure: If too many requests wait already.
          TimeoutError: From an `asyncio.timeout` around it.
        """
        if self._slots.locked() and self.waiting >= self._max_waiting:
            raise RequestFailure(
                429, 'queue_full', 'Too many requests are waiting; try again in a moment.'
            )
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()
