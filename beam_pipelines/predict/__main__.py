r"""Predicts the category of every product of a source with an exported model, on any Beam runner.

--model is a version folder of trainer.export (a SavedModel) or of serving.convert, local or gs://.
--input is what the shard job reads: BSON files, a MongoDB collection, a folder or a list of photos.
--output is a folder: files of rows in the order of the source, with the columns and values of
trainer.predict; predictions.json, written last, with the ledger; schema.json for BigQuery; and in
rejected/ the undecodable pictures and damaged documents with their reasons. A product without a
decodable picture gets the most common category.

The bytes are the same for any number of workers. For one file on one machine that resumes after an
interruption, see trainer.predict.

Examples:
  On this machine:
    python -m beam_pipelines.predict --model=run/models/product_categories/1 --input=test.bson \
      --output=answers

  For BigQuery, with two worker processes, three categories each and their confidences:
    python -m beam_pipelines.predict --model=models/shop/1 --input=photos --output=answers \
      --format=json --top_k=3 --confidence --level --direct_num_workers=2
    bq load --source_format=NEWLINE_DELIMITED_JSON shop.predictions 'answers/*.jsonl' \
      answers/schema.json

Flags that are not listed here are passed to Beam (--runner, --direct_num_workers, ...). A flag that
is unknown to Beam too is an error. Without --runner, the job runs on this machine.
"""

import time

from absl import flags

from beam_pipelines.local import arguments, runner
from beam_pipelines.predict import opening, running, summary
from beam_pipelines.predict.job import Job
from beam_pipelines.predict.options import PredictOptions
from beam_pipelines.scan import rejected_pieces
from catalog import command_line
from catalog.predictions import row_flags
from catalog.predictions.formats import FORMATS
from catalog.source_flags import definitions
from catalog.sources import mongo_read

_DEFAULTS = PredictOptions()

flags.adopt_module_key_flags(definitions)
flags.adopt_module_key_flags(row_flags)

_MODEL = flags.DEFINE(
    command_line.PATH, 'model', None, 'Version folder of an exported model.', required=True
)
_INPUT = flags.DEFINE(
    command_line.PathsParser(schemes=('gs://', *mongo_read.SCHEMES)),
    'input',
    None,
    'What the shard job reads: BSON files, a MongoDB collection, a folder or a list of photos.',
    required=True,
)
_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'Folder of the predictions.', required=True
)
_FORMAT = flags.DEFINE_enum('format', 'csv', FORMATS, 'Format of the files of rows.')
_SHARDS = flags.DEFINE_integer(
    'shards', _DEFAULTS.shards, 'Number of files of rows; 0: one for each 8 GiB of the source.'
)
_THRESHOLD = flags.DEFINE_float(
    'threshold', None, "Minimum summed confidence of a level; by default the model's."
)
_CHUNK_PRODUCTS = flags.DEFINE_integer(
    'chunk_products', _DEFAULTS.chunk_products, 'Products that the model computes together.'
)
_MAX_REJECTED_FRACTION = flags.DEFINE_float(
    'max_rejected_fraction',
    _DEFAULTS.max_rejected_fraction,
    'Fail if a larger fraction of documents or bytes is damaged. Undecodable pictures never end '
    'the job.',
)
_KEEP_REJECTED = flags.DEFINE_integer(
    'keep_rejected',
    rejected_pieces.DEFAULT_LIMIT,
    'Most rejected pieces that rejected/ lists; all are counted.',
    lower_bound=1,
)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace the predictions in --output.')


def open_job() -> Job:
    """Returns the job that the flags describe.

    Raises:
      UserError: If a flag, a file or the model is invalid.
    """
    return opening.open_job(
        model=_MODEL.value,
        inputs=_INPUT.value,
        output=_OUTPUT.value,
        options=PredictOptions(
            columns=row_flags.columns(),
            threshold=_THRESHOLD.value,
            chunk_products=_CHUNK_PRODUCTS.value,
            shards=_SHARDS.value,
            max_rejected_fraction=_MAX_REJECTED_FRACTION.value,
        ),
        source=definitions.source_options(),
        form=_FORMAT.value,
        keep_rejected=_KEEP_REJECTED.value,
    )


def main(argv: list[str]) -> None:
    """Runs the job and prints a summary."""
    start = time.monotonic()
    runner.check_start(argv[1:], inputs=_INPUT.value, output=_OUTPUT.value)
    opened = open_job()
    made = running.run(opened, argv[1:], overwrite=_OVERWRITE.value)
    if made is None:
        return
    text = summary.summarize(
        made,
        output=opened.output,
        seconds=time.monotonic() - start,
        notes=opened.source.notes(),
    )
    print(text, flush=True)


if __name__ == '__main__':
    command_line.run(main, parse=arguments.parse)
