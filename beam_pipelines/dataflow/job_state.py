"""What the service knows of a job: its state, messages and counters. Asks the service, no more."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions
from google.cloud import dataflow

from beam_pipelines.dataflow import service_errors

ENDED = ('DONE', 'FAILED', 'CANCELLED', 'UPDATED', 'DRAINED')
_STATE = 'JOB_STATE_'
_SEVERITY = {'JOB_MESSAGE_WARNING': 'warning', 'JOB_MESSAGE_ERROR': 'error'}


@dataclass
class SubmittedJob:
    """A job of the service.

    Attributes:
      result: Result of the pipeline, a `DataflowPipelineResult`.
      options: Where the job runs.
    """

    result: Any
    options: GoogleCloudOptions
    _seen: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The id that the service gave."""
        return str(self.result.job_id())

    @property
    def page(self) -> str:
        """The address of the job's page."""
        where = f'{self.options.region}/{self.id}?project={self.options.project}'
        return f'https://console.cloud.google.com/dataflow/jobs/{where}'

    def command(self, verb: str) -> str:
        """Returns the command of gcloud that does something with the job, such as `cancel`."""
        where = f'--region={self.options.region} --project={self.options.project}'
        return f'gcloud dataflow jobs {verb} {self.id} {where}'

    def state(self) -> str:
        """Returns the state, such as `RUNNING`. Beam repeats the request for some minutes.

        Raises:
          UserError: If the service still does not answer.
        """
        with self._reading():
            state = self._client.get_job(self.id).current_state
        return dataflow.JobState(state).name.removeprefix(_STATE)

    def new_messages(self) -> Iterator[tuple[str, str]]:
        """Yields the severity and text of each warning and error that was not yielded before.

        Raises:
          UserError: If the service does not answer.
        """
        token = None
        while True:
            with self._reading():
                messages, token = self._client.list_messages(
                    self.id, page_token=token, minimum_importance='JOB_MESSAGE_WARNING'
                )
            for message in messages:
                importance = dataflow.JobMessageImportance(message.message_importance).name
                if message.id not in self._seen and importance in _SEVERITY:
                    self._seen.add(message.id)
                    yield _SEVERITY[importance], message.message_text
            if not token:
                return

    def counters(self) -> dict[str, int]:
        """Returns the sums of the job's own counters over all steps."""
        found: dict[str, int] = {}
        for metric in self._client.get_job_metrics(self.id).metrics:
            name = metric.name
            if name.origin != 'user' or 'tentative' in name.context or not metric.scalar:
                continue
            found[name.name] = found.get(name.name, 0) + int(metric.scalar)
        return found

    def cancel(self) -> None:
        """Asks the service to cancel the job.

        Raises:
          UserError: If the service refuses, or does not answer.
        """
        with service_errors.reported(f'cannot cancel job {self.id}, see {self.page}'):
            self._client.modify_job_state(self.id, 'JOB_STATE_CANCELLED')

    def _reading(self) -> AbstractContextManager[None]:
        what = f'cannot read job {self.id}, which may still run, see {self.page}'
        return service_errors.reported(what)

    @property
    def _client(self) -> Any:
        return self.result._runner.dataflow_client
