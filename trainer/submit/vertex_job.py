"""The typed job of Vertex AI for a training. Sends nothing.

Vertex AI starts the container on each host; host 0 is a pool of its own, the chief.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from google.cloud.aiplatform_v1.types import (
    ContainerSpec,
    CustomJob,
    CustomJobSpec,
    GcsDestination,
    HyperparameterTuningJob,
    MachineSpec,
    Scheduling,
    WorkerPoolSpec,
)
from google.protobuf.duration_pb2 import Duration

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.submit import vertex_study
from trainer.submit.training_job import COMMAND, TrainingJob
from trainer.tune.search_space import Space

Job: TypeAlias = CustomJob | HyperparameterTuningJob

_REGION = re.compile(r'[a-z]+-[a-z]+\d+')
_PROJECT = re.compile(r'([a-z][-a-z0-9.:]*|\d+)')
_LABEL_KEY = re.compile(r'[a-z][-_a-z0-9]{0,62}')
_LABEL_VALUE = re.compile(r'[-_a-z0-9]{0,63}')
_BOARD = re.compile(r'projects/[^/]+/locations/[^/]+/tensorboards/\d+')
_MOST_HOURS = 24 * 30


@dataclass(frozen=True, kw_only=True)
class VertexOptions:
    """How Vertex AI runs a job.

    Attributes:
      project: Google Cloud project.
      region: Region, such as europe-west4.
      service_account: E-mail of the account that the hosts act as; empty for Google's default.
      tensorboard: Full name of a Vertex AI TensorBoard that receives the events; empty for none.
      labels: Labels of the job.
      timeout_hours: Longest time that it may run.
    """

    project: str
    region: str
    service_account: str = ''
    tensorboard: str = ''
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout_hours: float = 7 * 24

    def __post_init__(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise UserError(f'--project must be a Google Cloud project, got {self.project!r}')
        if not _REGION.fullmatch(self.region):
            raise UserError(f'--region must be a region like europe-west4, got {self.region!r}')
        if self.service_account and not self.service_account.endswith('.gserviceaccount.com'):
            raise UserError(
                '--service_account must be an e-mail address like '
                f'NAME@PROJECT.iam.gserviceaccount.com, got {self.service_account!r}'
            )
        if self.tensorboard and not _BOARD.fullmatch(self.tensorboard):
            raise UserError(
                '--tensorboard must be like projects/P/locations/REGION/tensorboards/NUMBER, got '
                f'{self.tensorboard!r}'
            )
        if self.tensorboard and not self.service_account:
            raise UserError(
                '--service_account must be given with --tensorboard: the account that writes there'
            )
        for key, value in self.labels.items():
            if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
                raise UserError(
                    f'--labels must be lower-case letters, digits, - and _, got {key}={value}'
                )
        if not 0 < self.timeout_hours <= _MOST_HOURS:
            raise UserError(
                f'--timeout_hours must be above 0 and at most {_MOST_HOURS}, got '
                f'{self.timeout_hours:g}'
            )

    @property
    def parent(self) -> str:
        """The place of the job's name."""
        return f'projects/{self.project}/locations/{self.region}'


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for better values of the config.

    Attributes:
      space: The fields to vary and their possible values.
      trials: Number of trials.
      parallel: Number of trials at a time.
    """

    space: Space
    trials: int
    parallel: int

    def __post_init__(self) -> None:
        if not 1 <= self.parallel <= self.trials:
            raise UserError(
                '--parallel_trials must be at least 1 and at most --trials, got '
                f'{self.parallel} and {self.trials}'
            )


def build_job(job: TrainingJob, options: VertexOptions, search: Search | None = None) -> Job:
    """Builds the job of a training, or of a search.

    Raises:
      UserError: If the config is invalid, or a search has no evaluations to compare.
    """
    config = job.config
    if search is None:
        return CustomJob(
            display_name=job.name, job_spec=_build_spec(job, options), labels=options.labels
        )
    if not config.validation.every_steps:
        raise UserError('validation.every_steps must be above 0 for a search, got 0')
    return HyperparameterTuningJob(
        display_name=job.name,
        trial_job_spec=_build_spec(job, options),
        study_spec=vertex_study.build_study(search.space, metric=config.validation.metric),
        max_trial_count=search.trials,
        parallel_trial_count=search.parallel,
        labels=options.labels,
    )


def _build_spec(job: TrainingJob, options: VertexOptions) -> CustomJobSpec:
    strategies = Scheduling.Strategy
    spec = CustomJobSpec(
        worker_pool_specs=_build_pools(job),
        scheduling=Scheduling(
            timeout=Duration(seconds=round(options.timeout_hours * 3600)),
            strategy=strategies.SPOT if job.spot else strategies.STANDARD,
            restart_job_on_worker_restart=job.hosts > 1,  # all workers resume together
        ),
        service_account=options.service_account,
    )
    if options.tensorboard:
        spec.tensorboard = options.tensorboard
        # Vertex AI uploads from its subfolder `logs`, which AIP_TENSORBOARD_LOG_DIR names.
        spec.base_output_directory = GcsDestination(
            output_uri_prefix=storage.join(job.workdir, naming.TENSORBOARD)
        )
    return spec


def _build_pools(job: TrainingJob) -> list[WorkerPoolSpec]:
    counts = [1, job.hosts - 1] if job.hosts > 1 else [1]
    return [
        WorkerPoolSpec(
            replica_count=count,
            machine_spec=_build_machine(job),
            container_spec=ContainerSpec(
                image_uri=job.image, command=list(COMMAND), args=job.arguments
            ),
        )
        for count in counts
    ]


def _build_machine(job: TrainingJob) -> MachineSpec:
    machine = job.machine
    spec = MachineSpec(machine_type=machine.machine_type)
    if machine.is_tpu:
        spec.tpu_topology = machine.topology
    elif machine.devices:
        spec.accelerator_type = machine.gpu
        spec.accelerator_count = machine.devices
    return spec


def to_json(job: Job) -> str:
    """Returns a job as JSON, as Vertex AI's REST API takes it."""
    text: str = type(job).to_json(
        job, use_integers_for_enums=False, always_print_fields_with_no_presence=False
    )
    return text
