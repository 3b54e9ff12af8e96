r"""Turns a dump of products into class-balanced TFRecord shards.

Examples:
  On this machine, on two cores:
    python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv \
      --output=shards --balance=sqrt --direct_num_workers=2

  Pictures that have no category:
    python -m beam_pipelines.shard --input=test.bson --output=test_shards --unlabelled

Flags that are not listed here go on to Beam (--runner, --direct_num_workers, ...); a flag that Beam
does not know either is refused. Without --runner the job runs on this machine.
"""

import dataclasses
import threading
import time

from absl import flags
from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from beam_pipelines import summary
from beam_pipelines.local import meter, runner
from beam_pipelines.options import BALANCES, DUPLICATES, VERIFICATIONS, ShardOptions
from beam_pipelines.pipeline import job
from beam_pipelines.sources import opening
from beam_pipelines.write import commit
from catalog import categories, command_line, manifest, record, shards, storage
from catalog.errors import UserError

_DEFAULTS = ShardOptions()

_INPUT = flags.DEFINE_list(
    'input',
    None,
    'Files or globs, local or gs://: BSON (also .gz), a folder of mongodump; or '
    'mongodb://HOST/DATABASE.COLLECTION; or photos, as DIR (DIR/CATEGORY/...) or as a list '
    '(.csv or .parquet: path, category, perhaps product).',
    required=True,
)
_CATEGORIES = flags.DEFINE_string('categories', None, 'category_names.csv; not if --unlabelled.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the data set.', required=True)
_RESUME = flags.DEFINE_bool('resume', False, 'Go on with a run that was cut off.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace the data set in --output.')
_RANGE_MB = flags.DEFINE_float(
    'range_mb', 64, 'MiB of the source that one step scans; does not change the result.'
)

flags.DEFINE_float(
    'validation_fraction', _DEFAULTS.validation_fraction, "Share of each class's products."
)
flags.DEFINE_float('test_fraction', _DEFAULTS.test_fraction, "Share of each class's products.")
flags.DEFINE_string(
    'balance',
    _DEFAULTS.balance,
    f'Train records a class follow count^power: {", ".join(BALANCES)}, or a power in [0, 1].',
)
flags.DEFINE_integer('max_copies', _DEFAULTS.max_copies, 'Most copies of one product in train.')
flags.DEFINE_integer('max_per_class', _DEFAULTS.max_per_class, 'Most train products; 0: no limit.')
flags.DEFINE_enum(
    'duplicates', _DEFAULTS.duplicates, DUPLICATES, 'Pictures whose bytes came before.'
)
flags.DEFINE_bool(
    'drop_blank',
    _DEFAULTS.drop_blank,
    'Leave out pictures that show nothing; they are counted and listed either way.',
)
flags.DEFINE_enum('record', _DEFAULTS.record, record.KINDS, 'What one record holds.')
flags.DEFINE_integer('shards', _DEFAULTS.shards, 'Train shards; 0: by --shard_mb.')
flags.DEFINE_float('shard_mb', _DEFAULTS.shard_mb, 'Mean shard size in MB (10^6 bytes).')
flags.DEFINE_enum(
    'compression', _DEFAULTS.compression, shards.COMPRESSIONS, 'Compression of the shards.'
)
flags.DEFINE_integer('seed', _DEFAULTS.seed, 'Of every hash that ranks or shuffles.')
flags.DEFINE_float(
    'max_rejected_fraction',
    _DEFAULTS.max_rejected_fraction,
    'Fail if a larger share of documents or pictures cannot be used.',
)
flags.DEFINE_enum(
    'verify', _DEFAULTS.verify, VERIFICATIONS, 'Look at headers, or decode every picture.'
)
flags.DEFINE_bool('unlabelled', _DEFAULTS.unlabelled, 'The input has no categories.')

_OPTION_NAMES = tuple(ShardOptions.__dataclass_fields__)


def parse(argv: list[str]) -> list[str]:
    """Reads our flags and checks that what is left is Beam's; returns it, program name first."""
    left = command_line.parse_flags(argv, known_only=True)
    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in (PipelineOptions, *PipelineOptions.__subclasses__()):
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(left[1:])
    if unknown:
        command_line.exit_with_error(
            f'neither this job nor Beam knows {unknown[0]!r}. --help lists the flags'
        )
    return left


def open_job() -> job.Job:
    """The job that the flags describe.

    Raises:
      UserError: if a flag or a file is not what it must be.
    """
    options = ShardOptions(**{name: flags.FLAGS[name].value for name in _OPTION_NAMES})
    if options.unlabelled == bool(_CATEGORIES.value):
        raise UserError(
            '--categories: must be given for labelled input and must not for --unlabelled, '
            f'got {_CATEGORIES.value!r} with unlabelled={options.unlabelled}'
        )
    tree, tree_bytes = None, None
    if _CATEGORIES.value:
        tree_bytes = storage.read_bytes(_CATEGORIES.value)
        tree = categories.parse(tree_bytes, path=_CATEGORIES.value)
    return job.Job(
        source=opening.open_source(_INPUT.value, tree=tree),
        categories=tree,
        category_bytes=tree_bytes,
        options=options,
        output=_OUTPUT.value,
        range_bytes=max(int(_RANGE_MB.value * 2**20), 1),
    )


def main(argv: list[str]) -> None:
    """Runs the job and prints what it made."""
    start = time.monotonic()
    made_by = open_job()
    commit.prepare(made_by.output, resume=_RESUME.value, overwrite=_OVERWRITE.value)
    source_bytes = made_by.source.total_bytes()
    local = runner.is_local(argv[1:])
    if local:
        # What ends a thread of Beam's comes with the error that ends the run. Printed by the thread
        # as well, it may come after that.
        threading.excepthook = lambda told: None
    with meter.shown(source_bytes, local=local) as told:
        metered = dataclasses.replace(made_by, meter=told)
        runner.run(
            lambda pipeline: job.build(pipeline, metered), argv[1:], input_bytes=source_bytes
        )
    made = manifest.read(made_by.output)
    seconds = time.monotonic() - start
    print(summary.summary(made, output=made_by.output, seconds=seconds), flush=True)


if __name__ == '__main__':
    command_line.run(main, parse=parse)
