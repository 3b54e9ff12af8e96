"""The progress line: one on a terminal, lines only where they are wanted."""

import io
import re

import pytest

from catalog.process import progress
from catalog.process.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _steps(stream: io.StringIO, *, lines: bool = True) -> Progress:
    return Progress('training', total=200, unit='steps', first=100, lines=lines, stream=stream)


def test_without_a_terminal_each_update_is_a_line_if_lines_are_wanted() -> None:
    stream = io.StringIO()
    shown = _steps(stream)
    shown.update(150, 'loss 0.5')
    shown.message('saved step 150')
    shown.update(200, 'loss 0.4')
    shown.close()
    first, message, last = stream.getvalue().splitlines()
    assert re.fullmatch(r'training:  75% 150/200 steps, [\d,.]+/s, \d+s left loss 0\.5', first)
    assert message == 'saved step 150'
    assert re.fullmatch(r'training: 100% 200/200 steps, [\d,.]+/s, 0s left loss 0\.4', last)


def test_without_a_terminal_updates_are_silent_by_default() -> None:
    stream = io.StringIO()
    shown = _steps(stream, lines=False)
    shown.update(150)
    shown.close()
    assert stream.getvalue() == ''


def test_on_a_terminal_a_message_stays_above_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '30')
    stream = _Terminal()
    shown = _steps(stream)
    shown.update(150, 'a note that is longer than the terminal is wide')
    shown.message('saved step 150')
    shown.close()
    _, line, message = stream.getvalue().split('\r\x1b[K', maxsplit=2)
    assert line.startswith('training:  75% 150/200 steps,')
    assert len(line) == 29  # a line that wraps could not be rewritten
    assert message == f'saved step 150\n\r\x1b[K{line}\n'


def test_what_a_resumed_run_has_done_before_does_not_count_for_the_time_left() -> None:
    shown = _steps(io.StringIO())
    line = shown.line(125, elapsed_seconds=50.0)
    assert line == 'training:  62% 125/200 steps, 0.5/s, 2m30s left'
    assert shown.line(180, elapsed_seconds=2.0).endswith('40/s, 0s left')  # 80 steps in 2 s


def test_durations_are_readable() -> None:
    assert [progress.duration(x) for x in (0.4, 75.2, 3660, 86_400)] == [
        '0s',
        '1m15s',
        '1h01m',
        '24h00m',
    ]


def test_control_characters_of_a_message_are_escaped() -> None:
    stream = io.StringIO()
    _steps(stream).message('a\x1b[31m')
    assert stream.getvalue() == 'a\\x1b[31m\n'
