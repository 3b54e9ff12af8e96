"""Checks what Dataflow's workers need, before anything is read or submitted."""

from collections.abc import Sequence

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from catalog import storage
from catalog.errors import UserError
from catalog.sources import gzip_copies, mongo_read, opening
from catalog.stores import google_credentials

_RUNNER = 'DataflowRunner'
_LOCAL = 'is a local path, which workers on other machines do not have'


def is_used(arguments: Sequence[str]) -> bool:
    """Returns whether Beam's arguments name Dataflow's runner."""
    runner = PipelineOptions(list(arguments)).view_as(StandardOptions).runner or ''
    return runner.rsplit('.', maxsplit=1)[-1] == _RUNNER


def is_dry_run(arguments: Sequence[str]) -> bool:
    """Returns whether the pipeline is only built."""
    return bool(PipelineOptions(list(arguments)).view_as(TestOptions).dry_run)


def check_options(arguments: Sequence[str]) -> None:
    """Checks Beam's arguments.

    Raises:
      UserError: If one is missing on Dataflow, or has an effect on Dataflow only.
    """
    options = PipelineOptions(list(arguments))
    cloud = options.view_as(GoogleCloudOptions)
    if not is_used(arguments):
        for name, given in (
            ('dry_run', is_dry_run(arguments)),
            ('template_location', cloud.template_location),
        ):
            if given:
                runner = options.view_as(StandardOptions).runner
                raise UserError(
                    f'--{name}: is for --runner={_RUNNER}; other runners would run the job, '
                    f'got {runner or "no --runner"}'
                )
        return
    for name, example in (('project', 'PROJECT'), ('temp_location', 'gs://BUCKET/tmp')):
        if not getattr(cloud, name):
            raise UserError(f'--{name}: must be given on Dataflow, like --{name}={example}')
    setup = options.view_as(SetupOptions)
    image = options.view_as(WorkerOptions).sdk_container_image
    if not (image or setup.setup_file or setup.extra_packages):
        raise UserError(
            "--sdk_container_image: must be given on Dataflow: Beam's own image does not have "
            'this package. Without an image, --setup_file=./setup.py installs it on each worker'
        )


def check_credentials(arguments: Sequence[str]) -> None:
    """Checks that there are credentials for Dataflow: Beam would search for them for minutes.

    Raises:
      UserError: If there are none. With `--no_auth`, none are needed.
    """
    cloud = PipelineOptions(list(arguments)).view_as(GoogleCloudOptions)
    if is_used(arguments) and not cloud.no_auth:
        google_credentials.find('Dataflow', scopes=cloud.gcp_oauth_scopes)


def check_file(arguments: Sequence[str], *, flag: str, path: str | None) -> None:
    """Checks that Dataflow's workers, on other machines, reach a file, if one is given.

    Raises:
      UserError: If they do not.
    """
    if path and is_used(arguments) and not storage.is_remote(path):
        raise UserError(f'--{flag}: {path} {_LOCAL}; on Dataflow, copy it to a bucket')


def check_paths(arguments: Sequence[str], *, inputs: Sequence[str], output: str) -> None:
    """Checks that Dataflow's workers, on other machines, reach the input and the output.

    Args:
      arguments: Beam's; for another runner, nothing is checked.
      inputs: Paths, globs, or addresses of a database.
      output: Folder of what the job writes.

    Raises:
      UserError: Naming the first path that they do not reach, or would unpack each on its own.
    """
    if not is_used(arguments):
        return
    if not storage.is_remote(output):
        raise UserError(f'--output: {output} {_LOCAL}; on Dataflow, use a folder of a bucket')
    if inputs[0].startswith(mongo_read.SCHEMES):
        return
    for path in inputs:
        if not storage.is_remote(path):
            raise UserError(f'--input: {path} {_LOCAL}; on Dataflow, copy it to a bucket')
    bson, _ = opening.find_inputs(inputs)
    for path in filter(gzip_copies.is_gzip, bson):
        raise UserError(
            f'--input: {path} is gzip, which cannot be read by range, so each worker would unpack '
            f'all of it; unpack it once: gcloud storage cat {path} | gunzip | '
            f'gcloud storage cp - {path[: -len(".gz")]}'
        )
