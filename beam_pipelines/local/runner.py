"""Runs a pipeline: chooses a runner if none is given, and reports errors in one line."""

import builtins
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

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


def run(
    build: Callable[[beam.Pipeline], None], arguments: Sequence[str], *, input_bytes: int
) -> None:
    """Builds a pipeline and runs it to its end.

    Args:
      build: Adds the steps.
      arguments: Beam's command line arguments.
      input_bytes: Size of the source. A large one gets a process per core in a local run.

    Raises:
      UserError: If a step raised one, in any process.
      OSError: If a step raised one, in any process.
    """
    options = _options(arguments, input_bytes=input_bytes)
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
    try:
        with beam.Pipeline(options=options) as pipeline:
            build(pipeline)
    except Exception as error:
        expected = _expected_error(error)
        if expected is None:
            raise
        raise expected from error


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
            'a worker process was killed, perhaps because memory ran out. Use --resume to '
            'continue, if necessary with fewer --direct_num_workers'
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
