r"""Turns a dump of products into class-balanced TFRecord shards.

Examples:
  On this machine, with two worker processes:
    python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv \
      --output=shards --balance=sqrt --direct_num_workers=2

  Photos in folders, which are the categories:
    python -m beam_pipelines.shard --input=photos --output=shards

  Data without categories:
    python -m beam_pipelines.shard --input=test.bson --output=test_shards --unlabelled

  Some products without categories, labelled by the predictions of an earlier model:
    python -m beam_pipelines.shard --input=train.bson,test.bson --categories=category_names.csv \
      --output=shards --pseudo_labels=predictions.csv --pseudo_threshold=0.95

Flags that are not listed here are passed to Beam (--runner, --direct_num_workers, ...). A flag that
is unknown to Beam too is an error. Without --runner, the job runs on this machine.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable

import apache_beam as beam
from absl import flags

from beam_pipelines import summary
from beam_pipelines.dataflow import checks
from beam_pipelines.local import arguments, meter, runner
from beam_pipelines.local.runner import Ending
from beam_pipelines.options import (
    BALANCES,
    DUPLICATES,
    NEAR_DUPLICATES,
    SPLIT_RULES,
    VERIFICATIONS,
    ShardOptions,
)
from beam_pipelines.pipeline import comparison, job
from beam_pipelines.scan import rejected_pieces
from beam_pipelines.scan.pseudo_labels import (
    DEFAULT_THRESHOLD,
    PseudoLabels,
    open_pseudo_labels,
)
from beam_pipelines.write import commit, rejected
from catalog import categories, command_line, manifest, record, shards, storage
from catalog.errors import UserError
from catalog.photos.confined import Rules
from catalog.photos.derived_tree import DerivedTree
from catalog.process import folder_lock
from catalog.schema import fields
from catalog.schema.fields import Fields
from catalog.source_flags import definitions
from catalog.sources import first_look, mongo_read, opening

_DEFAULTS = ShardOptions()

flags.adopt_module_key_flags(definitions)

_INPUT = flags.DEFINE(
    command_line.PathsParser(schemes=(*storage.SCHEMES, *mongo_read.SCHEMES)),
    'input',
    None,
    'Files or globs, local or gs://, of BSON (also .gz), or a folder of mongodump; or '
    'mongodb://HOST/DATABASE.COLLECTION, or mongodb+env://NAME or mongodb+file://PATH of a '
    'variable or file that contains such an address with its password; or photos, in a folder '
    '(DIR/CATEGORY/...) or in a list (.csv or .parquet with the columns path, category and '
    'optionally product).',
    required=True,
)
_CATEGORIES = flags.DEFINE(
    command_line.PATH,
    'categories',
    None,
    "The category tree: CSV or Google's taxonomy; not with --unlabelled. For photos, it may be "
    'left out: then their folders, or the categories of their list, are the tree.',
)
_OUTPUT = flags.DEFINE(command_line.PATH, 'output', None, 'Folder of the data set.', required=True)
_RESUME = flags.DEFINE_bool(
    'resume', False, 'Continue an interrupted run. If it is finished, check that nothing differs.'
)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace the data set in --output.')
_GROUP_FIELD = flags.DEFINE_string(
    'group_field',
    None,
    'Field or column whose value the products of a group share, such as a seller: they are in one '
    'split. The same as --fields=group=FIELD.',
)
_RANGE_MB = flags.DEFINE_float(
    'range_mb',
    64,
    'MiB of the source that one element scans; does not change the result.',
    lower_bound=0.001,
    upper_bound=1 << 20,
)
_KEEP_REJECTED = flags.DEFINE_integer(
    'keep_rejected',
    rejected_pieces.DEFAULT_LIMIT,
    'Most rejected pieces that rejected/ lists; all are counted.',
    lower_bound=1,
)
_KEEP_REJECTED_MB = flags.DEFINE_float(
    'keep_rejected_mb',
    rejected.DEFAULT_BYTES / 1e6,
    'Most MB (10^6 bytes) of rejected pieces in rejected/rejected.zip.',
    lower_bound=0,
)

flags.DEFINE_float(
    'validation_fraction',
    _DEFAULTS.validation_fraction,
    "Fraction of each class's products in validation.",
)
flags.DEFINE_float(
    'test_fraction', _DEFAULTS.test_fraction, "Fraction of each class's products in test."
)
flags.DEFINE_enum(
    'split_by',
    _DEFAULTS.split_by,
    SPLIT_RULES,
    'rank: exact fractions in each class, where products change their split as the class grows; '
    'hash: a product never changes its split, and small classes may have no product in a split.',
)
flags.DEFINE_string(
    'balance',
    _DEFAULTS.balance,
    f'Train records per class follow count^power: {", ".join(BALANCES)}, or a power in [0, 1].',
)
flags.DEFINE_integer('max_copies', _DEFAULTS.max_copies, 'Most copies of a product in train.')
flags.DEFINE_integer(
    'max_per_class', _DEFAULTS.max_per_class, 'Most train products per class; 0: no limit.'
)
flags.DEFINE_enum(
    'duplicates', _DEFAULTS.duplicates, DUPLICATES, 'Whether to keep or drop duplicate images.'
)
flags.DEFINE_enum(
    'near_duplicates',
    _DEFAULTS.near_duplicates,
    NEAR_DUPLICATES,
    'What to do about images that look the same with other bytes, encoded again or resized: mark '
    'those of validation and test that train contains too, or keep their products in one split. '
    'Decodes every picture.',
)
flags.DEFINE_bool(
    'drop_blank',
    _DEFAULTS.drop_blank,
    'Drop blank images. They are counted and listed in any case.',
)
flags.DEFINE_enum('record', _DEFAULTS.record, record.KINDS, 'What one record contains.')
flags.DEFINE_integer(
    'shards', _DEFAULTS.shards, 'Number of train shards; 0: determined by --shard_mb.'
)
flags.DEFINE_float('shard_mb', _DEFAULTS.shard_mb, 'Mean shard size in MB (10^6 bytes).')
flags.DEFINE_enum(
    'compression', _DEFAULTS.compression, shards.COMPRESSIONS, 'Compression of the shards.'
)
flags.DEFINE_integer('seed', _DEFAULTS.seed, 'Seed of all hashes that rank or shuffle.')
flags.DEFINE_float(
    'max_rejected_fraction',
    _DEFAULTS.max_rejected_fraction,
    'Fail if a larger fraction of documents, pictures or bytes is rejected.',
)
flags.DEFINE_enum(
    'verify', _DEFAULTS.verify, VERIFICATIONS, 'Read headers only, or decode every picture.'
)
flags.DEFINE_bool('unlabelled', _DEFAULTS.unlabelled, 'The input has no categories.')

_PSEUDO_LABELS = flags.DEFINE(
    command_line.PATH,
    'pseudo_labels',
    None,
    'Predictions of trainer.predict --confidence, CSV or Parquet: products without a category get '
    'the predicted one, and are in train only.',
)
_PSEUDO_THRESHOLD = flags.DEFINE_string(
    'pseudo_threshold',
    DEFAULT_THRESHOLD,
    'The lowest confidence of a pseudo-label, or a CSV file with the columns category_id,threshold '
    'of the categories that get pseudo-labels.',
)

for _name in ('range_mb', 'keep_rejected_mb'):
    flags.register_validator(_name, lambda value: not math.isnan(value), 'must be a number')

_OPTION_NAMES = frozenset(ShardOptions.__dataclass_fields__) - {'pseudo_labels', 'pseudo_threshold'}


def open_job() -> tuple[job.Job, DerivedTree | None]:
    """Returns the job that the flags describe, and the category tree if it is derived.

    Raises:
      UserError: If a flag or a file is invalid.
    """
    renamed = _field_names()
    given = {name: flags.FLAGS[name].value for name in _OPTION_NAMES}
    options = ShardOptions(**{**given, 'fields': renamed.as_text()})
    rules = definitions.rules()
    if _OUTPUT.value.rstrip('/') in [path.rstrip('/') for path in _INPUT.value]:
        raise UserError(f'--output: must be another folder than --input, got {_OUTPUT.value}')
    derived = _derive_tree(rules, renamed, options)
    tree, tree_bytes = _load_tree(derived)
    source = opening.open_source(
        _INPUT.value,
        tree=tree,
        rules=rules,
        fields=renamed,
        max_unpack_ratio=definitions.MAX_UNPACK_RATIO.value,
        folder_in_key=options.folder_in_key,
    )
    pseudo_labels = _open_pseudo_labels(tree)
    if pseudo_labels:
        options = dataclasses.replace(
            options,
            pseudo_labels=pseudo_labels.sha256,
            pseudo_threshold=pseudo_labels.threshold,
        )
    few = options.max_rejected_fraction <= _DEFAULTS.max_rejected_fraction
    if tree and few and derived is None:
        opening.check_folders(source, tree)
    first_look.check_products(source, tree, renamed, unlabelled_too=pseudo_labels is not None)
    opened = job.Job(
        source=source,
        categories=tree,
        category_bytes=tree_bytes,
        options=options,
        output=_OUTPUT.value,
        range_bytes=int(_RANGE_MB.value * 2**20),
        pseudo_labels=pseudo_labels,
        keep_rejected=_KEEP_REJECTED.value,
        keep_rejected_bytes=int(_KEEP_REJECTED_MB.value * 1e6),
    )
    return opened, derived


def _derive_tree(rules: Rules, renamed: fields.Fields, options: ShardOptions) -> DerivedTree | None:
    """Returns the category tree of folders or lists of photos, or None if it is given or not used.

    Raises:
      UserError: If there should be a tree and is none, or the other way round.
    """
    path, derived = _CATEGORIES.value, None
    if not path and not options.unlabelled:
        derived = opening.derive_tree(
            _INPUT.value,
            rules=rules,
            columns=dict(renamed.renamed),
            product_folders=definitions.PRODUCT_FOLDERS.value,
        )
    if derived is None and bool(path) == options.unlabelled:
        raise UserError(
            '--categories: is required for labelled input other than folders or lists of photos, '
            'and must not be given with --unlabelled, '
            f'got {path!r} with unlabelled={options.unlabelled}'
        )
    if definitions.PRODUCT_FOLDERS.value is not None and (
        derived is None or derived.source != 'folders'
    ):
        raise UserError(
            '--product_folders: is for folders of photos whose categories are derived, so not with '
            f'--categories, --unlabelled or other input, got {definitions.PRODUCT_FOLDERS.value}'
        )
    if derived is not None:
        derived.check_above(options.max_rejected_fraction)
    return derived


def _load_tree(
    derived: DerivedTree | None,
) -> tuple[categories.Categories, bytes] | tuple[None, None]:
    """Returns the category tree, derived or given, and its bytes."""
    if derived is not None:
        return categories.parse_file(derived.data, path=_INPUT.value[0])
    if not _CATEGORIES.value:
        return None, None
    return categories.parse_file(storage.read_bytes(_CATEGORIES.value), path=_CATEGORIES.value)


def _open_pseudo_labels(tree: categories.Categories | None) -> PseudoLabels | None:
    path, threshold = _PSEUDO_LABELS.value, _PSEUDO_THRESHOLD.value
    if path is None:
        if _PSEUDO_THRESHOLD.present:
            raise UserError(f'--pseudo_threshold: needs --pseudo_labels, got {threshold} alone')
        return None
    if tree is None:
        raise UserError(f'--pseudo_labels: must not be given with --unlabelled, got {path}')
    return open_pseudo_labels(path, threshold=threshold, tree=tree)


def _field_names() -> Fields:
    """Returns the names of the fields.

    Raises:
      UserError: If they are invalid, or if two of them determine the split.
    """
    group = [f'group={_GROUP_FIELD.value}'] if _GROUP_FIELD.value else []
    names = fields.parse([*definitions.FIELDS.value, *group])
    rules = [field for field in ('split', 'group') if names.is_renamed(field)]
    if len(rules) > 1:
        raise UserError('--fields: must name a split or a group, got both; the split decides')
    if rules and flags.FLAGS['near_duplicates'].value == 'group':
        raise UserError(
            f'--near_duplicates: must be off or mark with a field {rules[0]}, which decides the '
            'splits, got group'
        )
    return names


def main(argv: list[str]) -> None:
    """Runs the job and prints a summary."""
    start = time.monotonic()
    runner.check_start(argv[1:], inputs=_INPUT.value, output=_OUTPUT.value)
    checks.check_file(argv[1:], flag='pseudo_labels', path=_PSEUDO_LABELS.value)
    if checks.is_dry_run(argv[1:]):
        _run(open_job()[0], argv[1:], job.build)
        return
    ending = Ending.FINISHED
    with folder_lock.own_folder(
        _OUTPUT.value, owner='beam_pipelines.shard', stays=lambda: ending.runs_later
    ) as ownership:
        opened, derived = open_job()
        finished = commit.prepare(opened.output, resume=_RESUME.value, overwrite=_OVERWRITE.value)
        if finished:
            _compare(opened, argv[1:])
            return
        owned = dataclasses.replace(opened, ownership=ownership)
        ending = _run(owned, argv[1:], job.build)
        if ending is Ending.FINISHED:
            made = manifest.read(opened.output)
    if ending is Ending.LEFT:
        raise KeyboardInterrupt
    if ending is not Ending.FINISHED:
        return
    seconds = time.monotonic() - start
    text = summary.summarize(
        made,
        output=opened.output,
        seconds=seconds,
        notes=[*(derived.notes() if derived else ()), *opened.source.notes()],
        derived=derived.describe() if derived else '',
    )
    print(text, flush=True)


def _compare(opened: job.Job, beam_arguments: list[str]) -> None:
    """Reports that the finished data set is what the job would write, or raises a UserError."""
    made = manifest.read(opened.output)
    comparison.check_settings(opened, made)
    ending = _run(
        opened, beam_arguments, lambda pipeline, job: comparison.build(pipeline, job, made)
    )
    if ending is Ending.LEFT:
        raise KeyboardInterrupt
    if ending is not Ending.FINISHED:
        return
    print(
        f'complete   {opened.output} already contains the data set of this command; nothing was '
        'written',
        flush=True,
    )


def _run(
    opened: job.Job,
    beam_arguments: list[str],
    build: Callable[[beam.Pipeline, job.Job], None],
) -> Ending:
    """Runs a pipeline of the job and shows its progress. Returns how it ended."""
    source_bytes = opened.source.total_bytes()
    local = runner.is_local(beam_arguments)
    with meter.show_progress(source_bytes, local=local) as progress:
        metered = dataclasses.replace(opened, meter=progress)
        return runner.run(
            lambda pipeline: build(pipeline, metered),
            beam_arguments,
            input_bytes=source_bytes,
            measure=functools.partial(meter.measure_counters, source_bytes=source_bytes),
        )


if __name__ == '__main__':
    command_line.run(main, parse=arguments.parse)
