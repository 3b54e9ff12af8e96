"""Requests to Vertex AI: create, read and cancel a job. Errors are one line.

The environment variable of gcloud that names another address of the API is read too:
`CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM`. Credentials are sent over HTTPS only.
"""

import contextlib
import itertools
import os
import uuid
from collections.abc import Iterator

import requests
from google.api_core import exceptions, retry
from google.api_core.client_options import ClientOptions
from google.auth import credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
from google.cloud.aiplatform_v1.types import CustomJob, JobState

from catalog.errors import UserError
from catalog.stores import google_credentials, sentences
from trainer.submit.vertex_job import Job, VertexOptions

SCOPE = 'https://www.googleapis.com/auth/cloud-platform'

ENDED = frozenset(
    {
        JobState.JOB_STATE_SUCCEEDED,
        JobState.JOB_STATE_FAILED,
        JobState.JOB_STATE_CANCELLED,
        JobState.JOB_STATE_EXPIRED,
        JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
    }
)

_RETRY_SECONDS = 300.0
_REQUEST_SECONDS = 60.0
_SUBMISSION = 'trainer_submission'  # a label, by which a created job is found again
_MAY_PASS = retry.if_exception_type(
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    exceptions.TooManyRequests,
    requests.ConnectionError,
    requests.Timeout,
)


def endpoint(variable: str, *, default: str) -> str:
    """Returns the address of an API: that of gcloud's variable, or the default."""
    return os.environ.get(variable, '').rstrip('/') or default


def find_credentials(address: str) -> credentials.Credentials:
    """Returns Google's default credentials; none for an address without TLS.

    Raises:
      UserError: If there are no credentials.
    """
    if address.startswith('http://'):
        return credentials.AnonymousCredentials()
    return google_credentials.find('Vertex AI', scopes=[SCOPE])


class VertexClient:
    """The jobs of one project and region."""

    def __init__(self, options: VertexOptions, *, retry_seconds: float = _RETRY_SECONDS) -> None:
        """Raises a `UserError` if there are no credentials.

        Args:
          options: The project and the region.
          retry_seconds: How long a request is repeated that the service cannot answer.
        """
        address = endpoint(
            'CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM',
            default=f'https://{options.region}-aiplatform.googleapis.com',
        )
        self._parent = options.parent
        self._jobs = JobServiceClient(
            credentials=find_credentials(address),
            transport='rest',
            client_options=ClientOptions(api_endpoint=address),
        )
        self._retry = retry.Retry(predicate=_MAY_PASS, timeout=retry_seconds)

    def create(self, job: Job) -> Job:
        """Creates a job.

        A request that fails may have created it all the same. It is repeated only if no job has its
        random label: two jobs would write to one workdir.

        Raises:
          UserError: If Vertex AI refuses it.
        """
        labelled = type(job)(job)
        labelled.labels[_SUBMISSION] = uuid.uuid4().hex
        attempts = itertools.count()

        def create_or_find() -> Job:
            found = self._find(labelled) if next(attempts) else None
            return found or self._create(labelled)

        with _errors('cannot create the job'):
            return self._retry(create_or_find)()

    def _create(self, job: Job) -> Job:
        if isinstance(job, CustomJob):
            return self._jobs.create_custom_job(
                parent=self._parent, custom_job=job, timeout=_REQUEST_SECONDS
            )
        return self._jobs.create_hyperparameter_tuning_job(
            parent=self._parent, hyperparameter_tuning_job=job, timeout=_REQUEST_SECONDS
        )

    def _find(self, job: Job) -> Job | None:
        """Returns the created job with the label of `job`, if there is one."""
        by_label = {
            'parent': self._parent,
            'filter': f'labels.{_SUBMISSION}={job.labels[_SUBMISSION]}',
        }
        read = (
            self._jobs.list_custom_jobs
            if isinstance(job, CustomJob)
            else self._jobs.list_hyperparameter_tuning_jobs
        )
        return next(iter(read(request=by_label, timeout=_REQUEST_SECONDS)), None)

    def get(self, job: Job) -> Job:
        """Returns the job as it is now.

        Raises:
          UserError: If it cannot be read.
        """
        read = (
            self._jobs.get_custom_job
            if isinstance(job, CustomJob)
            else self._jobs.get_hyperparameter_tuning_job
        )
        with _errors(f'cannot read {job.name}, which may still run'):
            return read(name=job.name, retry=self._retry, timeout=_REQUEST_SECONDS)

    def cancel(self, job: Job) -> None:
        """Asks for the job to be cancelled; it ends some time later.

        Raises:
          UserError: If Vertex AI refuses.
        """
        stop = (
            self._jobs.cancel_custom_job
            if isinstance(job, CustomJob)
            else self._jobs.cancel_hyperparameter_tuning_job
        )
        with _errors(f'cannot cancel {job.name}'):
            stop(name=job.name, retry=self._retry, timeout=_REQUEST_SECONDS)


@contextlib.contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except exceptions.RetryError as error:
        reason = sentences.from_google_error(error.cause or error)
        raise UserError(f'Vertex AI: {what}, tried again and again: {reason}') from error
    except (exceptions.GoogleAPICallError, GoogleAuthError, OSError) as error:  # requests' too
        raise UserError(f'Vertex AI: {what}: {sentences.from_google_error(error)}') from error
