"""A progress line: the share done, the rate and the time left.

On a terminal one line is rewritten. Elsewhere nothing is printed, or a line for each update.
"""

import shutil
import sys
import time
from typing import TextIO

from catalog import terminal

_FAST = 10  # a rate from which decimals do not matter


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
        first: float | None = None,
        lines: bool = False,
        stream: TextIO | None = None,
        every_seconds: float = 0.5,
    ) -> None:
        """Takes what the line says.

        Args:
          name: What is done.
          total: How much there is to do, in `unit`.
          unit: Of the numbers.
          first: How much is done before the start; by default the first update's value.
          lines: Whether each update prints a line of its own if the stream is no terminal.
          stream: Where to print; standard error by default.
          every_seconds: Least time between two versions of the line on a terminal.
        """
        self._name = name
        self._total = total
        self._unit = unit
        self._stream = stream or sys.stderr
        self._every_seconds = every_seconds
        self._start = time.monotonic()
        self._first = first  # a resumed run starts above 0
        self._shown_at = 0.0
        self._shown = ''
        self._visible = self._stream.isatty()
        self._lines = lines and not self._visible

    def update(self, done: float, note: str = '') -> None:
        """Shows that `done` of the total are done: on a terminal at most twice a second."""
        if self._first is None:
            self._first = done
        now = time.monotonic()
        line = self.line(done, elapsed_seconds=now - self._start, note=note)
        if self._lines:
            self._write_line(line)
        if not self._visible or (now - self._shown_at < self._every_seconds and done < self._total):
            return
        self._shown_at = now
        self._rewrite(line)

    def message(self, text: str) -> None:
        """Prints a line that stays: above the progress line, or where no line is rewritten."""
        if self._visible:
            shown = self._shown
            self._stream.write('\r\x1b[K')
            self._write_line(text)
            self._rewrite(shown)
        else:
            self._write_line(text)

    def line(self, done: float, *, elapsed_seconds: float, note: str = '') -> str:
        """Returns the text of the line."""
        fresh = done - (self._first or 0)
        share = done / self._total if self._total else 1.0
        text = f'{self._name}: {share:4.0%} {done:,.0f}/{self._total:,.0f} {self._unit}'
        if fresh > 0 and elapsed_seconds > 0:
            rate = fresh / elapsed_seconds
            left_seconds = (self._total - done) / rate
            text += f', {rate:,.{0 if rate >= _FAST else 1}f}/s, {duration(left_seconds)} left'
        return f'{text} {note}'.rstrip()

    def close(self) -> None:
        """Ends the progress line, which stays on the terminal."""
        if self._visible:
            self._stream.write('\n')
            self._stream.flush()

    def _rewrite(self, text: str) -> None:
        self._shown = text
        columns = shutil.get_terminal_size().columns
        # A line that wraps could not be rewritten.
        self._stream.write('\r\x1b[K' + terminal.escape(text)[: max(columns - 1, 1)])
        self._stream.flush()

    def _write_line(self, text: str) -> None:
        self._stream.write(terminal.escape(text) + '\n')
        self._stream.flush()
