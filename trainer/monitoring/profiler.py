"""A trace of some steps for TensorBoard's profiler, which shows what waits for what."""

import contextlib

import tensorflow as tf

from trainer.config import BoardConfig

_NEVER = 1 << 62


class Profiler(contextlib.AbstractContextManager['Profiler']):
    """Traces the steps that the config asks for, into `folder/plugins/profile`."""

    def __init__(self, folder: str, config: BoardConfig, *, done: int, silent: bool) -> None:
        """Takes the steps that were done before this start of the run."""
        asked = config.profile_steps and not silent
        self._folder = folder
        self._first = done + config.profile_from if asked else _NEVER
        self._last = self._first + config.profile_steps
        self._tracing = False

    def steps_to_next_stop(self, done: int) -> int:
        """Steps that may be taken before `at` must be called again."""
        return (self._first if done < self._first else max(self._last, done + 1)) - done

    def at(self, done: int) -> None:
        """Begins or ends the trace where its step is."""
        if done == self._first and not self._tracing:
            tf.profiler.experimental.start(self._folder)
            self._tracing = True
        elif done >= self._last:
            self._stop()

    def _stop(self) -> None:
        if self._tracing:
            tf.profiler.experimental.stop()
        self._tracing = False

    def __exit__(self, *_: object) -> None:
        self._stop()
