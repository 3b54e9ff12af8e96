"""Traces some steps for TensorBoard's profiler, which shows where a step waits."""

import contextlib

import tensorflow as tf

from trainer.config import BoardConfig

_NEVER = 1 << 62


class Profiler(contextlib.AbstractContextManager['Profiler']):
    """Traces the steps that the config selects, into `folder/plugins/profile`."""

    def __init__(self, folder: str, config: BoardConfig, *, done: int, silent: bool) -> None:
        """Takes the number of steps done before this session."""
        enabled = config.profile_steps and not silent
        self._folder = folder
        self._first = done + config.profile_from if enabled else _NEVER
        self._last = self._first + config.profile_steps
        self._tracing = False

    def steps_to_next_stop(self, done: int) -> int:
        """Returns how many steps may run before the next call of `on_step`."""
        return (self._first if done < self._first else max(self._last, done + 1)) - done

    def on_step(self, done: int) -> None:
        """Starts or stops the trace if its step is reached."""
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
