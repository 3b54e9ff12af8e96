"""Follows a job of Vertex AI until it ends: its states and its logs."""

import sys
import time

from catalog import terminal
from trainer.submit.vertex_client import ENDED, VertexClient
from trainer.submit.vertex_job import Job
from trainer.submit.vertex_logs import JobLogs

_STATE = 'JOB_STATE_'
_LAST_LOGS_SECONDS = 5.0  # entries arrive late


class Follower:
    """Prints states to standard error and logs to standard output. Can be interrupted and resumed.

    Attributes:
      job: The job as it was read last.
    """

    def __init__(self, client: VertexClient, job: Job, *, poll_seconds: float) -> None:
        """Raises a `UserError` if there are no credentials for the logs."""
        self.job = job
        self._client = client
        self._logs = JobLogs(job)
        self._poll_seconds = poll_seconds
        self._state = ''
        self._warned = False

    def follow(self) -> None:
        """Returns when the job has ended.

        Raises:
          UserError: If the job cannot be read.
        """
        while True:
            self.job = self._client.get(self.job)
            self._print_state()
            self._print_logs()
            if self.job.state in ENDED:
                time.sleep(min(_LAST_LOGS_SECONDS, self._poll_seconds))
                self._print_logs()
                return
            time.sleep(self._poll_seconds)

    def _print_state(self) -> None:
        state = self.job.state.name.removeprefix(_STATE).lower()
        if state != self._state:
            print(f'{time.strftime("%H:%M:%S")} {state}', file=sys.stderr, flush=True)
            self._state = state

    def _print_logs(self) -> None:
        lines, error = self._logs.read_new()
        for line in lines:
            print(terminal.escape(f'{line.process}  {line.text}'), flush=True)
        if error and not self._warned:
            print(f'warning: cannot read the logs: {error}', file=sys.stderr, flush=True)
            self._warned = True
