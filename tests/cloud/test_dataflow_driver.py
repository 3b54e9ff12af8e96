"""What the driver of a Dataflow job checks, prints and does: states, errors, Ctrl-C, no waiting."""

import os
import pty
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import pytest
from absl.testing import flagsaver
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowPipelineResult
from apache_beam.runners.dataflow.internal import apiclient
from apache_beam.utils import retry

from beam_pipelines import shard
from beam_pipelines.dataflow import checks
from beam_pipelines.local import meter, runner
from beam_pipelines.local.runner import Ending
from catalog.errors import UserError
from tests import gcs_emulator
from tests.cloud import dataflow_service
from tests.cloud.dataflow_service import Job, Service

ON_DATAFLOW = ['--runner=DataflowRunner', '--project=my-project', '--temp_location=gs://temp/tmp']


@pytest.fixture(scope='module')
def store() -> Iterator[str]:
    with gcs_emulator.running_store() as url:
        gcs_emulator.client(url).create_bucket('temp')
        gcs_emulator.client(url).create_bucket('shop')
        yield url


@pytest.fixture
def service(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service whose jobs wait for ever."""
    monkeypatch.setenv('STORAGE_EMULATOR_HOST', store)
    with dataflow_service.running_service(tmp_path, store_url=store, starts_jobs=False) as started:
        yield started


def beam_flags(service: Service, *more: str) -> list[str]:
    where = ['--region=europe-west1', f'--dataflow_endpoint={service.url}', '--no_auth']
    where.append('--experiments=disable_logging_submission_environment')  # runs pip
    return [*ON_DATAFLOW, *where, '--sdk_container_image=gcr.io/my-project/beam', *more]


def run(service: Service, *more: str) -> Ending:
    """Runs a pipeline of one step."""
    build = lambda pipeline: pipeline | beam.Create([1]) | beam.Map(print)  # noqa: E731
    return runner.run(build, beam_flags(service, *more), input_bytes=0)


def finish(service: Service) -> Ending:
    """Follows a new job of the service."""
    return follow(service, service.create('my-project', 'europe-west1', b'{"name": "waiting"}'))


def follow(service: Service, job: Job) -> Ending:
    """Follows a job of the service."""
    options = PipelineOptions(beam_flags(service))
    client = apiclient.DataflowApplicationClient(options)
    result = DataflowPipelineResult(job.proto, SimpleNamespace(dataflow_client=client), options)
    return runner.finish_on_dataflow(result, options, detached=False, measure=None)


@pytest.fixture
def soon(service: Service) -> Callable[[Callable[[], object]], None]:
    """Calls a function once the job waits."""

    def wait_and_call(function: Callable[[], object]) -> None:
        while not service.jobs:
            threading.Event().wait(0.05)
        threading.Event().wait(0.7)
        function()

    return lambda function: threading.Thread(target=wait_and_call, args=(function,)).start()


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C. A shell that starts tests in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize('more', [[], ['--no_wait_until_finish']])
def test_a_dry_run_submits_nothing(
    more: list[str], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(service, '--dry_run=True', '--job_name=shop', *more) is Ending.DRY
    assert not service.jobs
    assert capsys.readouterr().out.startswith('dry run    job shop: ')


def test_a_template_is_written_and_not_submitted(service: Service, store: str) -> None:
    location = 'gs://temp/templates/job_object'
    assert run(service, f'--template_location={location}') is Ending.TEMPLATE
    assert not service.jobs
    written = gcs_emulator.client(store).bucket('temp').blob('templates/job_object')
    assert service.create('my-project', 'europe-west1', written.download_as_bytes())


def test_a_job_that_is_not_waited_for_is_submitted_and_named(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(service, '--no_wait_until_finish') is Ending.SUBMITTED
    job_id = service.only_job.proto.id
    out, err = capsys.readouterr()
    assert f'job        {job_id}\n' in err
    assert f'gcloud dataflow jobs show {job_id} --region=europe-west1 --project=my-project' in out


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that Beam would have waited between its requests; none of them pass."""
    found: list[float] = []
    monkeypatch.setattr(retry.Clock, 'sleep', lambda clock, seconds: found.append(seconds))
    return found


def test_a_submission_survives_a_service_that_is_away_for_a_moment(
    service: Service, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    service.refuse_next = [503, 500]
    assert run(service, '--no_wait_until_finish') is Ending.SUBMITTED
    assert len(waits) == 2
    assert len(service.jobs) == 1
    assert capsys.readouterr().err.startswith('job        ')


@pytest.mark.parametrize(('refusals', 'tries'), [([503] * 99, 4), ([403], 1)])
def test_a_submission_that_is_refused_to_the_end_is_one_line(
    service: Service, waits: list[float], refusals: list[int], tries: int
) -> None:
    service.refuse_next = list(refusals)
    with pytest.raises(UserError) as caught:
        run(service)
    assert str(caught.value) == 'Dataflow: cannot submit the job: injected'
    assert len(refusals) - len(service.refuse_next) == tries
    assert not service.jobs


def test_a_job_that_cannot_be_read_any_more_is_one_line_with_its_page(
    service: Service, waits: list[float]
) -> None:
    service.refuse_next = [503, 503]
    job = service.create('my-project', 'europe-west1', b'{"name": "waiting"}')
    job.change_state('JOB_STATE_DONE')
    assert follow(service, job) is Ending.FINISHED
    assert len(waits) == 2
    service.refuse_next = [503] * 99
    with pytest.raises(UserError) as caught:
        follow(service, job)
    assert str(caught.value) == (
        f'Dataflow: cannot read job {job.proto.id}, which may still run, see '
        f'https://console.cloud.google.com/dataflow/jobs/europe-west1/{job.proto.id}'
        '?project=my-project: injected'
    )


def test_the_error_of_a_step_is_the_error_of_the_run(
    service: Service,
    soon: Callable[[Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        job = service.only_job
        job.report('WARNING', 'a worker\nwas slow')
        job.report('ERROR', "…\ncatalog.errors.UserError: --input: is bad [while running 'Scan']\n")
        job.change_state('JOB_STATE_FAILED')

    soon(fail)
    with pytest.raises(UserError) as caught:
        finish(service)
    assert str(caught.value) == '--input: is bad'
    lines = capsys.readouterr().err.splitlines()
    assert lines[2:] == ['state      queued', 'warning    a worker was slow', 'state      failed']


def test_another_failure_is_one_line_with_the_page(
    service: Service, soon: Callable[[Callable[[], object]], None]
) -> None:
    def fail() -> None:
        service.only_job.report('ERROR', 'Workflow failed.\nQuota of CPUs exceeded')
        service.only_job.change_state('JOB_STATE_FAILED')

    soon(fail)
    with pytest.raises(UserError, match=r'failed: Quota of CPUs exceeded; see https://console'):
        finish(service)


def test_ctrl_c_without_a_terminal_cancels_the_job(
    service: Service,
    soon: Callable[[Callable[[], object]], None],
    interrupt: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        finish(service)
    assert service.only_job.state == 'JOB_STATE_CANCELLED'
    assert capsys.readouterr().err.splitlines()[-1] == 'state      cancelled'


def read_to_the_end(terminal: int) -> str:
    parts = []
    with os.fdopen(terminal, 'rb', buffering=0) as file:
        while True:
            try:
                parts.append(file.read(1000) or b'')
            except OSError:  # nobody writes any more
                return b''.join(parts).decode()


@pytest.mark.parametrize(('answer', 'state'), [('y', 'CANCELLED'), ('', 'QUEUED')])
def test_ctrl_c_on_a_terminal_asks(
    answer: str,
    state: str,
    service: Service,
    soon: Callable[[Callable[[], object]], None],
    interrupt: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main, terminal = pty.openpty()
    os.write(main, answer.encode() + b'\n')
    with os.fdopen(os.dup(terminal)) as reader, os.fdopen(terminal, 'w') as writer:
        monkeypatch.setattr('sys.stdin', reader)
        monkeypatch.setattr('sys.stderr', writer)
        soon(interrupt)
        if answer:
            with pytest.raises(KeyboardInterrupt):
                finish(service)
        else:
            assert finish(service) is Ending.LEFT
        monkeypatch.undo()
    shown = read_to_the_end(main)
    assert 'cancel the job? [y/N]' in shown
    assert service.only_job.state == f'JOB_STATE_{state}'
    if not answer:
        assert f'gcloud dataflow jobs cancel {service.only_job.proto.id}' in shown


def test_progress_counts_scanned_bytes_and_then_written_shards() -> None:
    assert meter.measure_counters({'bytes_scanned': 500}, 1000) == (0.25, 'scan')
    counters = {'bytes_scanned': 1000, 'shards_planned': 4, 'shards_written': 1}
    assert meter.measure_counters(counters, 1000) == (0.625, 'write')


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (ON_DATAFLOW[:1], '--project: must be given on Dataflow'),
        (ON_DATAFLOW[:2], '--temp_location: must be given on Dataflow'),
        (ON_DATAFLOW, '--sdk_container_image: must be given on Dataflow'),
        (['--dry_run=True'], '--dry_run: is for --runner=DataflowRunner; other runners would run'),
        (['--template_location=gs://b/t'], '--template_location: is for --runner=DataflowRunner'),
    ],
)
def test_options_that_cannot_work_are_refused_first(arguments: list[str], error: str) -> None:
    with pytest.raises(UserError) as caught:
        checks.check_options(arguments)
    assert str(caught.value).startswith(error)


def test_a_runner_brings_its_own_flags() -> None:
    dask = ['--runner=apache_beam.runners.dask.dask_runner.DaskRunner', '--dask_client_address=h:1']
    with flagsaver.flagsaver():
        parsed = shard.arguments.parse(['shard', '--input=in', '--output=out', *dask])
    assert parsed == ['shard', *dask]


def test_paths_that_workers_do_not_have_are_refused(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('STORAGE_EMULATOR_HOST', store)
    blob = gcs_emulator.client(store).bucket('shop').blob('dump/train.bson.gz')
    blob.upload_from_string(b'')
    runner = ON_DATAFLOW[:1]
    checks.check_paths(runner, inputs=['mongodb://host/shop.products'], output='gs://shop/out')
    checks.check_paths([], inputs=['train.bson'], output='out')
    for inputs, output, error in (
        ('train.bson', 'gs://shop/out', '--input: train.bson is a local path'),
        ('gs://shop/dump/*', 'out', '--output: out is a local path'),
        ('gs://shop/dump/*', 'gs://shop/out', '--input: gs://shop/dump/train.bson.gz is gzip'),
        ('gs://shop/dump', 'gs://shop/out', '--input: gs://shop/dump/train.bson.gz is gzip'),
    ):
        with pytest.raises(UserError) as caught:
            checks.check_paths(runner, inputs=[inputs], output=output)
        assert str(caught.value).startswith(error)
