"""Follows a job until it ends: prints its page, states and warnings, and asks on Ctrl-C."""

import sys
import time
from collections.abc import Callable, Mapping

from google.api_core.exceptions import GoogleAPICallError

from beam_pipelines.dataflow.job_state import ENDED, SubmittedJob
from catalog import terminal
from catalog.errors import UserError
from catalog.process.progress import Progress

# The first requests follow each other fast, so that a mistake is reported soon.
_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS = 0.5, 10.0
_GROWTH = 1.5
_MOST_TEXT = 500  # characters of a message

# Returns the share of the work that is done, in [0, 1], and the name of the phase.
Measure = Callable[[Mapping[str, int]], tuple[float, str]]


class JobFailed(Exception):
    """A job failed. The message is the last error that the service reported."""


def announce(job: SubmittedJob) -> None:
    """Prints the job's id and page."""
    _print(f'job        {job.id}')
    _print(f'page       {job.page}')


def follow(job: SubmittedJob, measure: Measure | None = None) -> bool:
    """Waits until the job ends.

    On Ctrl-C, asks whether to cancel the job. Without a terminal, cancels it: there is nobody to
    ask, and its workers cost money.

    Args:
      job: The job.
      measure: Returns the progress from the job's counters. None if it is not shown.

    Returns:
      Whether the job has ended. If not, Ctrl-C was pressed and the job is to run on.

    Raises:
      JobFailed: If the job failed.
      UserError: If someone else has cancelled it.
      KeyboardInterrupt: If Ctrl-C has cancelled it.
    """
    try:
        _wait(job, measure)
    except KeyboardInterrupt:
        if not _should_cancel():
            _print(f'the job runs on; to cancel it: {job.command("cancel")}')
            return False
        _print('cancelling; a second Ctrl-C ends this command, not the job')
        job.cancel()
        _wait_for_end(job)
        raise
    return True


def _should_cancel() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    try:
        print('\ncancel the job? [y/N] ', end='', file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ('y', 'yes')
    except KeyboardInterrupt:
        return False


def _wait(job: SubmittedJob, measure: Measure | None) -> None:
    shown, last_error, wait_seconds = '', '', _FIRST_WAIT_SECONDS
    bar = Progress('shard', total=100, unit='%')
    while True:
        state = job.state()
        for severity, text in job.new_messages():
            if severity == 'error':
                last_error = text
            else:
                _print(f'warning    {_shorten(text)}')
        if state != shown:
            _print(f'state      {state.lower()}')
            shown = state
        if state in ENDED:
            bar.close()
            break
        if measure and state == 'RUNNING' and sys.stderr.isatty():
            _show(job, measure, bar)
        time.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * _GROWTH, _MOST_WAIT_SECONDS)
    if state == 'FAILED':
        raise JobFailed(last_error or 'the service gave no reason')
    if state != 'DONE':
        raise UserError(f'job {job.id}: must be done, but was {state.lower()}; see {job.page}')


def _wait_for_end(job: SubmittedJob) -> None:
    while (state := job.state()) not in ENDED:
        time.sleep(_FIRST_WAIT_SECONDS)
    _print(f'state      {state.lower()}')


def _show(job: SubmittedJob, measure: Measure, bar: Progress) -> None:
    try:
        done, phase = measure(job.counters())
    except GoogleAPICallError:  # the bar may wait; the state does not
        return
    bar.update(100 * done, phase)


def _shorten(text: str) -> str:
    line = ' '.join(text.split())
    return line if len(line) <= _MOST_TEXT else line[:_MOST_TEXT] + '…'


def _print(line: str) -> None:
    print(terminal.escape(line), file=sys.stderr, flush=True)
