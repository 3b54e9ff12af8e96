"""Parses a command line of flags of a job and of Beam."""

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    StandardOptions,
    _BeamArgumentParser,
)

from beam_pipelines.local import runner
from catalog import command_line


def parse(argv: list[str]) -> list[str]:
    """Parses the flags of a job. Returns Beam's arguments, program name first.

    Exits with an error for a flag that neither the job nor Beam defines, and an unknown runner.
    """
    left = command_line.parse_flags(argv, known_only=True)
    name = PipelineOptions(left[1:]).view_as(StandardOptions).runner
    try:
        beam.runners.create_runner(name or runner.LOCAL_RUNNER)  # imports the runner's own flags
    except (ValueError, ImportError, AttributeError):
        command_line.exit_with_error(
            '--runner must be a runner of Beam, such as '
            f'{runner.LOCAL_RUNNER} or DataflowRunner, got {name!r}'
        )
    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in (PipelineOptions, *PipelineOptions.__subclasses__()):
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(left[1:])
    if unknown:
        beam_flags = [option.lstrip('-') for option in parser._option_string_actions]
        near = command_line.flag_suggestion(unknown[0], beam_flags)
        command_line.exit_with_error(
            f'{unknown[0]!r} is neither a flag of this job nor of Beam{near}. '
            '--help lists the flags'
        )
    return left
