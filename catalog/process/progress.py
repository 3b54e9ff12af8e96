"""A progress line: the share done, the rate and the time left. Prints only to a terminal."""

import sys
import time
from typing import TextIO

from catalog import terminal


def duration(seconds: float) -> str:
    """Formats a duration: `75.2` as `1m15s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f'{hours}h{minutes:02d}m'
    return f'{minutes}m{rest:02d}s' if minutes else f'{rest}s'


class Progress:
    """Rewrites one terminal line as work is done.

    Usage:
      progress = Progress('shards', total=512, unit='shard')
      progress.update(7)   # 7 in all are done
      progress.close()
    """

    def __init__(
        self,
        name: str,
        *,
        total: float,
        unit: str,
        stream: TextIO | None = None,
        every_seconds: float = 0.5,
    ) -> None:
        self._name = name
        self._total = total
        self._unit = unit
        self._stream = stream or sys.stderr
        self._every_seconds = every_seconds
        self._start = time.monotonic()
        self._first: float | None = None  # the first value of `done`: a resumed run starts above 0
        self._shown_at = 0.0
        self._visible = self._stream.isatty()

    def update(self, done: float, note: str = '') -> None:
        """Shows that `done` of the total are done, at most twice a second."""
        if self._first is None:
            self._first = done
        now = time.monotonic()
        if not self._visible or (now - self._shown_at < self._every_seconds and done < self._total):
            return
        self._shown_at = now
        self._write(self.line(done, elapsed_seconds=now - self._start, note=note))

    def line(self, done: float, *, elapsed_seconds: float, note: str = '') -> str:
        """Returns the text of the line."""
        fresh = done - (self._first or 0)
        share = done / self._total if self._total else 1.0
        text = f'{self._name}: {share:4.0%} {done:,.0f}/{self._total:,.0f} {self._unit}'
        if fresh > 0 and elapsed_seconds > 0:
            left_seconds = (self._total - done) * elapsed_seconds / fresh
            text += f', {fresh / elapsed_seconds:,.0f}/s, {duration(left_seconds)} left'
        return f'{text} {note}'.rstrip()

    def close(self) -> None:
        """Ends the line, which stays on the terminal."""
        if self._visible:
            self._stream.write('\n')
            self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write('\r\x1b[K' + terminal.escape(text))
        self._stream.flush()
