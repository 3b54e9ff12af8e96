"""Runs a pipeline: chooses a runner if none is given, and reports errors in one line."""

import builtins
import contextlib
import enum
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_pipelines.dataflow import checks, following, service_errors
from beam_pipelines.dataflow.job_state import SubmittedJob
from beam_pipelines.local import dask_patch, loopback_patch, memory
from catalog.errors import UserError

# DirectRunner would first try to download another runner.
LOCAL_RUNNER = 'FnApiRunner'
DASK_RUNNER = 'DaskRunner'

# Worker processes take some seconds to start, in which smaller inputs are finished.
_MULTIPROCESSING_BYTES = 512 << 20

# An error arrives from a worker process as text.
_ERROR = re.compile(r'(?:RuntimeError: )?(\w+): ([^\n]*?) \[while running ')
_WORKER_LOST = 'Channel closed prematurely'
_ERRNO = re.compile(r"""\[Errno (\d+)\] (.+?)(?:: ('[^']*'|"[^"]*"))?""")


class Ending(enum.Enum):
    """How `run` ends."""

    FINISHED = enum.auto()
    DRY = enum.auto()  # nothing was submitted
    TEMPLATE = enum.auto()  # a launcher submits the job
    SUBMITTED = enum.auto()  # the job runs on, as --no_wait_until_finish asks
    LEFT = enum.auto()  # the job runs on after Ctrl-C

    @property
    def runs_later(self) -> bool:
        """Whether workers write after this process has ended."""
        return self in (Ending.TEMPLATE, Ending.SUBMITTED, Ending.LEFT)


def check_start(arguments: Sequence[str], *, inputs: Sequence[str], output: str) -> None:
    """Checks a command before it reads anything, and prepares how this process reports errors.

    Args:
      arguments: Beam's command line arguments.
      inputs: Paths, globs, or addresses of a database.
      output: Folder of what the job writes.

    Raises:
      UserError: If the runner lacks an argument or credentials, or its workers would not reach a
        path.
    """
    if is_local(arguments):
        # The exception that ends a thread of Beam's is part of the error that ends the run. Printed
        # by the thread too, it might appear after that error.
        threading.excepthook = lambda arguments: None
    checks.check_options(arguments)
    checks.check_credentials(arguments)
    checks.check_paths(arguments, inputs=inputs, output=output)


def run(
    build: Callable[[beam.Pipeline], None],
    arguments: Sequence[str],
    *,
    input_bytes: int,
    measure: following.Measure | None = None,
) -> Ending:
    """Builds a pipeline and runs it to its end, unless the arguments ask for less.

    Args:
      build: Adds the steps.
      arguments: Beam's command line arguments.
      input_bytes: Size of the source. A large one gets a process per core in a local run.
      measure: Returns the progress of a job on Dataflow from its counters.

    Returns:
      How it ended.

    Raises:
      UserError: If a step raised one, in any process; or if Dataflow refuses the job.
      OSError: If a step raised one, in any process.
    """
    checks.check_options(arguments)
    options = _options(arguments, input_bytes=input_bytes)
    on_dataflow = checks.is_used(arguments)
    detached = options.view_as(StandardOptions).no_wait_until_finish
    if on_dataflow:
        # Beam would wait without a word, and repeat in its log what `following` prints.
        options.view_as(StandardOptions).no_wait_until_finish = True
        logging.getLogger('apache_beam').setLevel(
            logging.CRITICAL + 1
        )  # also of requests it repeats
    if options.view_as(StandardOptions).runner == LOCAL_RUNNER:
        # What a worker logs is part of the error that ends the run.
        logging.getLogger('apache_beam').setLevel(logging.CRITICAL)
        memory.configure_allocator()
    if (options.view_as(StandardOptions).runner or '').endswith(DASK_RUNNER):
        dask_patch.patch()
        if not any(argument.startswith('--dask_client_address') for argument in arguments):
            _warn_of_ports('Dask opens its dashboard, port 8787 if that is free,')
    if not loopback_patch.patch():
        _warn_of_ports(f'Beam {beam.__version__} opens the ports for its workers')
    submitting = (
        service_errors.reported('cannot submit the job')
        if on_dataflow
        else contextlib.nullcontext()
    )
    try:
        with submitting, _new_pipeline(options) as pipeline:
            build(pipeline)
        if on_dataflow:
            return finish_on_dataflow(pipeline.result, options, detached=detached, measure=measure)
    except Exception as error:
        expected = _expected_error(error)
        if expected is None:
            raise
        raise expected from error
    ended = PipelineState.is_terminal(pipeline.result.state)
    return Ending.FINISHED if ended else Ending.SUBMITTED


def _new_pipeline(options: PipelineOptions) -> beam.Pipeline:
    try:
        return beam.Pipeline(options=options)
    except ValueError as error:  # Beam's checks of its own options
        raise UserError(' '.join(str(error).split())) from error


def finish_on_dataflow(
    result: PipelineResult,
    options: PipelineOptions,
    *,
    detached: bool,
    measure: following.Measure | None,
) -> Ending:
    """Waits for the end of a job on Dataflow, if there is one and it is waited for.

    Args:
      result: The result of the submitted pipeline.
      options: Its options.
      detached: Whether not to wait.
      measure: As in `run`.

    Returns:
      How it ended.

    Raises:
      UserError: If the job failed, or someone else cancelled it.
      OSError: If a step raised one.
      KeyboardInterrupt: If Ctrl-C cancelled it.
    """
    cloud = options.view_as(GoogleCloudOptions)
    if options.view_as(TestOptions).dry_run:
        steps = len(result.job.proto_pipeline.components.transforms)
        name = result.job.proto.name
        print(f'dry run    job {name}: {steps} steps; nothing was submitted', flush=True)
        return Ending.DRY
    if cloud.template_location:
        print(f'template   {cloud.template_location}; a launcher submits it', flush=True)
        return Ending.TEMPLATE
    job = SubmittedJob(result, cloud)
    following.announce(job)
    if detached:
        print(f'submitted  to follow the job: {job.command("show")}', flush=True)
        return Ending.SUBMITTED
    try:
        return Ending.FINISHED if following.follow(job, measure) else Ending.LEFT
    except following.JobFailed as error:
        expected = _expected_error(error)
        if expected:
            raise expected from error
        *_, reason = str(error).strip().splitlines()
        raise UserError(f'job {job.id}: failed: {reason}; see {job.page}') from error


def _warn_of_ports(opened: str) -> None:
    print(
        f'warning: {opened} on all interfaces, without authentication; whoever reaches them sees '
        'this job (docs/operations.md)',
        file=sys.stderr,
        flush=True,
    )


def is_local(arguments: Sequence[str]) -> bool:
    """Returns whether Beam's arguments name no runner, or the one of this machine."""
    return PipelineOptions(list(arguments)).view_as(StandardOptions).runner in (None, LOCAL_RUNNER)


def _options(arguments: Sequence[str], *, input_bytes: int) -> PipelineOptions:
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner is None:
        standard.runner = LOCAL_RUNNER
    direct = options.view_as(DirectOptions)
    named = any(argument.startswith('--direct_num_workers') for argument in arguments)
    if standard.runner == LOCAL_RUNNER and not named and input_bytes > _MULTIPROCESSING_BYTES:
        direct.direct_num_workers = os.cpu_count() or 1
    moded = any(argument.startswith('--direct_running_mode') for argument in arguments)
    if direct.direct_num_workers != 1 and not moded:
        direct.direct_running_mode = 'multi_processing'
    return options


def _expected_error(error: Exception) -> Exception | None:
    """Returns the UserError or OSError that caused an error of Beam's, if one did."""
    if isinstance(error, UserError):
        return UserError(str(error).split(' [while running ')[0])
    if _WORKER_LOST in str(error):
        return UserError(
            'a worker process was killed, perhaps because memory ran out. Run again, the shard job '
            'with --resume, if necessary with fewer --direct_num_workers'
        )
    matches = _ERROR.findall(str(error))
    if not matches:
        return None
    kind, message = matches[-1]
    if kind == 'UserError':
        return UserError(message)
    system = _ERRNO.fullmatch(message)
    if system and issubclass(getattr(builtins, kind, Exception), OSError):
        return OSError(int(system[1]), system[2], (system[3] or '')[1:-1])
    return None
