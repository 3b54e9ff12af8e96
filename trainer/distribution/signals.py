"""Requests to stop (SIGTERM, Ctrl-C), kept until the loop can save a checkpoint."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from trainer.distribution.workers import Workers

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """A run stopped after a signal and saved its state.

    Attributes:
      step: Step of the checkpoint that it saved.
      signal: The signal.
    """

    def __init__(self, *, step: int, by: signal.Signals) -> None:
        super().__init__(
            f'stopped by {by.name}; step {step} is saved, and the same command resumes from there'
        )
        self.step = step
        self.signal = by


class StopRequest:
    """The first signal that was received, if any."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None


@contextlib.contextmanager
def ctrl_c_terminates() -> Iterator[None]:
    """Lets Ctrl-C end the process while the block waits for other processes."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Keeps the first signal while the block runs; a second one has its usual effect."""
    request = StopRequest()
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


def agree(received: signal.Signals | None, *, workers: Workers) -> signal.Signals | None:
    """Returns the signal that any worker received, so that all stop after the same step."""
    votes = workers.sum([float(received == number) for number in _SIGNALS])
    return next((number for number, vote in zip(_SIGNALS, votes, strict=True) if vote), None)
