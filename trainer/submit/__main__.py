r"""Trains on machines in the cloud: submits a job to Vertex AI, or prints one for Kubernetes.

The job runs `trainer.task` with the same config, data and workdir, and with the strategy that
follows from --machine and --hosts. The command prints state and logs until the job ends; Ctrl-C
asks whether to cancel it. With --spot the hosts cost less and may be taken away: the job starts
again and resumes from its last checkpoint. With --space the job searches for better values.

  python -m trainer.submit --config=configs/kaggle_inception_v3.py --data=gs://B/shards \
    --workdir=gs://B/work --image=REGION-docker.pkg.dev/P/shop/train:TAG --machine=l4 \
    --project=P --region=europe-west4
  python -m trainer.submit ... --machine=a100x8 --hosts=4 --spot --dry_run
  python -m trainer.submit ... --machine=l4 --space=configs/spaces/tiny.py --trials=20 \
    --parallel_trials=4 --config.validation.every_steps=300
  python -m trainer.submit ... --machine=h100x8 --hosts=2 --target=kubernetes | kubectl apply -f -

The config and the space are files of the image too: build it from the same sources. Exit code: 0 if
the job succeeded, or was submitted with --detach; 1 if it failed or was cancelled; 2 after an error
that the user can fix; 130 if Ctrl-C ended this command and the job continues.
"""

import os
import sys
from typing import TYPE_CHECKING

from absl import flags

from catalog import command_line, manifest
from catalog.errors import UserError
from trainer.config import overrides
from trainer.submit.machines import MACHINES
from trainer.submit.training_job import COMMAND, TrainingJob
from trainer.tune import search_space

if TYPE_CHECKING:
    from trainer.submit.follow import Follower
    from trainer.submit.vertex_client import VertexClient
    from trainer.submit.vertex_job import Job, Search, VertexOptions

_CONFIG = flags.DEFINE(
    command_line.LOCAL_PATH, 'config', None, 'A file of configs/.', required=True
)
_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'The folder of the shards.', required=True)
_WORKDIR = flags.DEFINE(command_line.PATH, 'workdir', None, 'The folder of the run.', required=True)
_IMAGE = flags.DEFINE_string('image', None, 'The container image of the trainer.', required=True)
_MACHINE = flags.DEFINE_enum(
    'machine', None, list(MACHINES), 'The kind of host, with its devices.', required=True
)
_HOSTS = flags.DEFINE_integer('hosts', 1, 'Number of hosts.')
_SPOT = flags.DEFINE_bool('spot', False, 'Whether to use Spot machines, and restart the job.')
_TARGET = flags.DEFINE_enum(
    'target', 'vertex', ['vertex', 'kubernetes'], 'Submit to Vertex AI, or print a JobSet.'
)
_NAME = flags.DEFINE_string('name', None, "Name of the job; by default the config's.")
_LABELS = flags.DEFINE_list('labels', [], 'Labels of the job: key=value, comma-separated.')
_SERVICE_ACCOUNT = flags.DEFINE_string(
    'service_account', '', 'Account that the hosts act as: an e-mail, or a name of Kubernetes.'
)
_PROJECT = flags.DEFINE_string(
    'project', None, 'Google Cloud project; by default $GOOGLE_CLOUD_PROJECT.'
)
_REGION = flags.DEFINE_string('region', None, 'Region of Vertex AI.')
_TENSORBOARD = flags.DEFINE_string(
    'tensorboard', '', 'Full name of a Vertex AI TensorBoard that receives the events.'
)
_TIMEOUT_HOURS = flags.DEFINE_float('timeout_hours', 168, 'Longest time that the job may run.')
_SPACE = flags.DEFINE(
    command_line.LOCAL_PATH, 'space', None, 'A file of configs/spaces/: search in it.'
)
_TRIALS = flags.DEFINE_integer('trials', 20, 'Number of trials of a search.')
_PARALLEL = flags.DEFINE_integer('parallel_trials', 2, 'Number of trials at a time.')
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print the job as JSON; submit nothing.')
_DETACH = flags.DEFINE_bool('detach', False, 'Return once the job is submitted.')
_POLL_SECONDS = flags.DEFINE_float('poll_seconds', 10, 'Time between two looks at the job.')


def main(argv: list[str]) -> None:
    """Takes the program name, then overrides of the config as `a.b=value`."""
    job = TrainingJob(
        name=_NAME.value or _default_name(_CONFIG.value),
        image=_IMAGE.value,
        config_path=_CONFIG.value,
        overrides=tuple(argv[1:]),
        data=_DATA.value,
        workdir=_WORKDIR.value,
        machine=MACHINES[_MACHINE.value],
        hosts=_HOSTS.value,
        spot=_SPOT.value,
    )
    _ = job.config  # errors before the libraries are loaded
    try:
        if _TARGET.value == 'kubernetes':
            _print_jobset(job)
        else:
            _submit(job)
    except ModuleNotFoundError as error:
        raise UserError(
            f'trainer.submit needs the extra `cloud`, there is no module {error.name}: '
            "pip install -c constraints.txt '.[cloud]'"
        ) from error


def _default_name(config_path: str) -> str:
    stem = os.path.basename(config_path).removesuffix('.py')
    return stem.lower().replace('_', '-')


def _labels() -> dict[str, str]:
    pairs = [label.partition('=') for label in _LABELS.value]
    for key, equals, value in pairs:
        if not equals:
            raise UserError(f'--labels must be key=value, comma-separated, got {key}{value}')
    return {key: value for key, _, value in pairs}


def _print_jobset(job: TrainingJob) -> None:
    from trainer.submit import jobset

    if _SPACE.value:
        raise UserError('--space must be searched on Vertex AI, got --target=kubernetes')
    text = jobset.to_yaml(job, labels=_labels(), service_account=_SERVICE_ACCOUNT.value)
    print(text, end='')


def _submit(job: TrainingJob) -> None:
    from trainer.submit import results, vertex_job
    from trainer.submit.vertex_client import VertexClient

    options = _options()
    typed = vertex_job.build_job(job, options, _search(job))
    if _DRY_RUN.value:
        print(vertex_job.to_json(typed))
        return
    manifest.read(job.data)  # the job would fail without it, after its hosts have started
    client = VertexClient(options)
    made = client.create(typed)
    print(f'submitted {made.name}\n{results.link(made)}', file=sys.stderr, flush=True)
    if not _DETACH.value:
        _follow(client, made, job)


def _options() -> 'VertexOptions':
    from trainer.submit.vertex_job import VertexOptions

    project = _PROJECT.value or os.environ.get('GOOGLE_CLOUD_PROJECT')
    for flag, value in (('project', project), ('region', _REGION.value)):
        if not value:
            raise UserError(f'--{flag} must be given for Vertex AI')
    return VertexOptions(
        project=str(project),
        region=_REGION.value,
        service_account=_SERVICE_ACCOUNT.value,
        tensorboard=_TENSORBOARD.value,
        labels=_labels(),
        timeout_hours=_TIMEOUT_HOURS.value,
    )


def _search(job: TrainingJob) -> 'Search | None':
    from trainer.submit.vertex_job import Search

    if not _SPACE.value:
        return None
    space = search_space.load(_SPACE.value, job.config)
    return Search(space=space, trials=_TRIALS.value, parallel=_PARALLEL.value)


def _follow(client: 'VertexClient', made: 'Job', job: TrainingJob) -> None:
    """Follows a job to its end and exits with an error if it did not succeed."""
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, JobState

    from trainer.submit import results
    from trainer.submit.follow import Follower

    follower = Follower(client, made, poll_seconds=_POLL_SECONDS.value)
    try:
        follower.follow()
    except KeyboardInterrupt:
        _ask_to_cancel(client, follower)
        follower.follow()
    ended = follower.job
    if isinstance(ended, HyperparameterTuningJob):
        print(results.format_trials(ended, command=[*COMMAND, *job.arguments]))
    if ended.state != JobState.JOB_STATE_SUCCEEDED:
        state = ended.state.name.removeprefix('JOB_STATE_').lower()
        reason = f': {ended.error.message}' if ended.error.message else ''
        command_line.exit_with_error(f'the job {ended.name} has {state}{reason}', code=1)


def _ask_to_cancel(client: 'VertexClient', follower: 'Follower') -> None:
    """Cancels the job if the user wants it; otherwise ends this command."""
    name = follower.job.name
    answer = ''
    if sys.stdin.isatty():
        print(f'\ncancel the job {name} too? [y/N] ', end='', file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ('y', 'yes'):
        print(f'the job {name} continues', file=sys.stderr)
        sys.exit(130)
    client.cancel(follower.job)


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
