"""Opens the model and the source of a job, and checks them before anything runs."""

from collections.abc import Sequence

from beam_pipelines.inference import opening as models
from beam_pipelines.predict.answers import Answerer
from beam_pipelines.predict.job import Job
from beam_pipelines.predict.options import PredictOptions
from beam_pipelines.scan.rejected_pieces import DEFAULT_LIMIT
from catalog.errors import UserError
from catalog.inputs import opening
from catalog.inputs.options import SourceOptions
from catalog.model_folders import version_folder
from catalog.predictions.formats import Format, FormatName


def open_job(
    *,
    model: str,
    inputs: Sequence[str],
    output: str,
    options: PredictOptions,
    source: SourceOptions | None = None,
    form: FormatName = 'csv',
    keep_rejected: int = DEFAULT_LIMIT,
) -> Job:
    """Returns a job.

    Args:
      model: Version folder of the model.
      inputs: What `catalog.inputs.opening.open_source` opens.
      output: Folder of the predictions.
      options: What to write, and how.
      source: How the input is read.
      form: Format of the files of rows.
      keep_rejected: Most rejected pieces to keep; all of them are counted.

    Raises:
      UserError: If the model or the input is invalid.
    """
    if output.rstrip('/') in [path.rstrip('/') for path in inputs]:
        raise UserError(f'--output: must be another folder than --input, got {output}')
    folder = version_folder.open_folder(model, files=models.MODEL_FILES)
    opened, labelled = opening.open_source(inputs, folder.tree, source or SourceOptions())
    described = Format(
        form,
        options.columns,
        text_ids=opened.key_bytes() > 0,
        codes=folder.tree.codes is not None,
    )
    return Job(
        model=model,
        fingerprint=version_folder.fingerprint([model]),
        answerer=Answerer(opened, labelled, options, described, keep_rejected=keep_rejected),
        output=output,
    )
