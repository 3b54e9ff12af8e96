"""Runs a pipeline: with which runner if none is named, and its errors told in one line."""

import builtins
import logging
import os
import re
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from beam_pipelines.local import dask_bundles, memory
from catalog.errors import UserError

# DirectRunner would first look for another runner and download it.
LOCAL_RUNNER = 'FnApiRunner'
DASK_RUNNER = 'DaskRunner'

# Worker processes take some seconds to start; smaller inputs are done by then.
_WORTH_PROCESSES_BYTES = 512 << 20

# An error travels from a worker process as text.
_TOLD = re.compile(r'(?:RuntimeError: )?(\w+): ([^\n]*?) \[while running ')
_WORKER_LOST = 'Channel closed prematurely'
_ERRNO = re.compile(r'\[Errno (\d+)\] ([^:]+)(?:: (.+))?')


def run(
    build: Callable[[beam.Pipeline], None], arguments: Sequence[str], *, input_bytes: int
) -> None:
    """Builds and runs a pipeline, to its end.

    Args:
      build: adds the steps.
      arguments: Beam's, as on its command line.
      input_bytes: size of the source; a large one gets a process a core on a local run.

    Raises:
      UserError: if a step raised one, in whatever process.
      OSError: likewise.
    """
    options = _options(arguments, input_bytes=input_bytes)
    if options.view_as(StandardOptions).runner == LOCAL_RUNNER:
        # What a worker logs comes with the error that ends the run, once.
        logging.getLogger('apache_beam').setLevel(logging.CRITICAL)
        memory.tell_allocator()
    if (options.view_as(StandardOptions).runner or '').endswith(DASK_RUNNER):
        dask_bundles.mend()
    try:
        with beam.Pipeline(options=options) as pipeline:
            build(pipeline)
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        raise told from error


def is_local(arguments: Sequence[str]) -> bool:
    """Whether Beam's arguments name no other runner than this machine's own."""
    return PipelineOptions(list(arguments)).view_as(StandardOptions).runner in (None, LOCAL_RUNNER)


def _options(arguments: Sequence[str], *, input_bytes: int) -> PipelineOptions:
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner is None:
        standard.runner = LOCAL_RUNNER
    direct = options.view_as(DirectOptions)
    named = any(argument.startswith('--direct_num_workers') for argument in arguments)
    if standard.runner == LOCAL_RUNNER and not named and input_bytes > _WORTH_PROCESSES_BYTES:
        direct.direct_num_workers = os.cpu_count() or 1
    moded = any(argument.startswith('--direct_running_mode') for argument in arguments)
    if direct.direct_num_workers != 1 and not moded:
        direct.direct_running_mode = 'multi_processing'
    return options


def _told(error: Exception) -> Exception | None:
    """The user's mistake or the system's refusal in an error of Beam's, if that is what it is."""
    if isinstance(error, UserError):
        return UserError(str(error).split(' [while running ')[0])
    if _WORKER_LOST in str(error):
        return UserError(
            'a worker process ended before its work did: killed, perhaps because memory ran out. '
            '--resume goes on, with fewer --direct_num_workers if need be'
        )
    matches = _TOLD.findall(str(error))
    if not matches:
        return None
    kind, message = matches[-1]
    if kind == 'UserError':
        return UserError(message)
    system = _ERRNO.fullmatch(message)
    if system and issubclass(getattr(builtins, kind, Exception), OSError):
        return OSError(int(system[1]), system[2], (system[3] or '').strip("'"))
    return None
