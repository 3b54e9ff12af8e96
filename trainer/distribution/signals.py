"""A request to stop (SIGTERM, Ctrl-C), kept until the loop is at a place where it can."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from trainer.distribution.workers import Workers

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """A run that was asked to stop and has saved its state.

    Attributes:
      step: of the checkpoint that it left.
      signal: that asked.
    """

    def __init__(self, *, step: int, by: signal.Signals) -> None:
        super().__init__(
            f'stopped by {by.name} after step {step}, which is saved; '
            'the same command goes on from there'
        )
        self.step = step
        self.signal = by


class Request:
    """Whether somebody asked."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None


@contextlib.contextmanager
def ctrl_c_ends_at_once() -> Iterator[None]:
    """While the block runs, which waits inside TensorFlow: Python would not be asked there."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def requests() -> Iterator[Request]:
    """Keeps the first signal while the block runs; the second does what it always does."""
    request = Request()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def keep(number: int, frame: FrameType | None) -> None:
        del frame
        request.signal = signal.Signals(number)
        restore()

    for number in _SIGNALS:
        signal.signal(number, keep)
    try:
        yield request
    finally:
        restore()


def agree(mine: signal.Signals | None, *, workers: Workers) -> signal.Signals | None:
    """The signal that any worker was sent, so that all stop after the same step."""
    votes = workers.total([float(mine == number) for number in _SIGNALS])
    return next((number for number, vote in zip(_SIGNALS, votes, strict=True) if vote), None)
