"""Runs a job, from the checks of its output to the end of its pipeline."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from beam_pipelines.dataflow import checks
from beam_pipelines.local import meter, runner
from beam_pipelines.local.runner import Ending
from beam_pipelines.predict import commit, job
from beam_pipelines.predict.job import Job
from beam_pipelines.write.commit import staging_folder
from catalog import storage
from catalog.process import folder_lock


def run(
    opened: Job, beam_arguments: Sequence[str] = (), *, overwrite: bool
) -> dict[str, Any] | None:
    """Runs a job. A failed one leaves no file under a final name.

    Args:
      opened: The job.
      beam_arguments: Beam's command line arguments.
      overwrite: Whether to replace predictions in the output.

    Returns:
      The content of `predictions.json`. None if the arguments ask for less than the end of the job,
      see `runner.Ending`.

    Raises:
      UserError: If the output must not be written, or a step raised one.
      OSError: If nothing can be written there, or a step raised one.
    """
    if checks.is_dry_run(beam_arguments):
        _run(opened, beam_arguments)
        return None
    ending = Ending.FINISHED
    with folder_lock.own_folder(
        opened.output, owner='beam_pipelines.predict', stays=lambda: ending.runs_later
    ) as ownership:
        commit.prepare(opened.output, overwrite=overwrite)
        try:
            ending = _run(dataclasses.replace(opened, ownership=ownership), beam_arguments)
        except BaseException:
            if runner.is_local(beam_arguments):  # elsewhere, workers may still write
                storage.delete_folder(staging_folder(opened.output))
            raise
        if ending is Ending.FINISHED:
            return commit.read(opened.output)
    if ending is Ending.LEFT:
        raise KeyboardInterrupt
    return None


def _run(opened: Job, beam_arguments: Sequence[str]) -> Ending:
    """Runs the pipeline and shows its progress."""
    local = runner.is_local(beam_arguments)
    source_bytes = opened.source.total_bytes()
    with meter.show_progress(source_bytes, local=local, name='predict', passes=1) as progress:
        answerer = dataclasses.replace(opened.answerer, meter=progress)
        metered = dataclasses.replace(opened, answerer=answerer)
        # One process by default, whatever the size: a model uses all cores from one.
        return runner.run(
            lambda pipeline: job.build(pipeline, metered), beam_arguments, input_bytes=0
        )
