"""Builds the Beam pipeline of the job. The steps are in `steps`.

Tables move, not pictures: a row takes about 30 bytes, and the bytes of a picture are read once to
hash them and once to write them.
"""

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import AsDict, AsList, AsMultiMap, AsSingleton, PCollection

from beam_pipelines import table
from beam_pipelines.ledger import Counts
from beam_pipelines.local.meter import Meter
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import grouping, near_steps, steps
from beam_pipelines.pipeline.grouping import GroupByBucket, unpack_bucket
from beam_pipelines.pipeline.proven_scans import ProvenScans
from beam_pipelines.plan import classes, repeats, rules
from beam_pipelines.plan.classes import Layout
from beam_pipelines.scan.pseudo_labels import PseudoLabels
from beam_pipelines.scan.rejected_pieces import DEFAULT_LIMIT, RejectedPieces
from beam_pipelines.table import Table, join
from beam_pipelines.write import commit, cuts, rejected
from beam_pipelines.write.shard_writer import ShardWriter, WrittenShard
from catalog import storage
from catalog.categories import Categories
from catalog.process.folder_lock import Ownership
from catalog.sources.source import Source


@dataclass(frozen=True)
class Job:
    """The input, options and output of one run.

    Attributes:
      source: Source of the products.
      categories: None for unlabelled data.
      category_bytes: Contents of the category file, to be written beside the manifest.
      options: Options that change the result.
      output: Folder of the data set.
      range_bytes: Size of the range that one element scans.
      pseudo_labels: Labels of products without a category. None rejects these products.
      keep_rejected: Most rejected pieces that are listed, the first of the source.
      keep_rejected_bytes: Most bytes of rejected pieces that are kept.
      ownership: The right to write to the output. None if it is not locked.
      meter: Receives the progress of the run.
    """

    source: Source
    categories: Categories | None
    category_bytes: bytes | None
    options: ShardOptions
    output: str
    range_bytes: int
    pseudo_labels: PseudoLabels | None = None
    keep_rejected: int = DEFAULT_LIMIT
    keep_rejected_bytes: int = rejected.DEFAULT_BYTES
    ownership: Ownership | None = None
    meter: Meter = field(default_factory=Meter)


class Reading(NamedTuple):
    """What is read from the source.

    Attributes:
      tables: The rows of the first document of each product id: Table.
      visual: The visual hashes of their pictures: Table.
      pieces: The rejected pieces: RejectedPieces, one.
      counts: Counts of everything that was read: Counts, one.
      fingerprint: Fingerprint of the products: uint64 [2], one.
    """

    tables: PCollection
    visual: PCollection
    pieces: PCollection
    counts: PCollection
    fingerprint: PCollection


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds all steps of the job to a pipeline."""
    buckets = grouping.bucket_count(job.source.total_bytes())
    key_bytes = job.source.key_bytes()
    tables, visual, pieces, checked, fingerprint = read_products(pipeline, job)
    groups = []
    if job.options.near_duplicates == 'group':
        groups = [AsSingleton(near_steps.group_products(pipeline, visual, buckets))]
    split = (
        _group_by_class(tables, job.options, buckets, key_bytes)
        | 'UnpackClasses' >> beam.Map(unpack_bucket, table.with_key(table.CLASSED, key_bytes))
        | 'Split' >> beam.FlatMap(steps.split_bucket, job.options, *groups)
    )  # (kind, Counts | class counts | packed rows)
    layout = _layout(pipeline, split, checked, job)
    dealt = (
        split
        | 'SplitTables' >> beam.FlatMap(steps.select_kind, steps.TABLES)
        # The elements that wait for the layout are distributed again: otherwise one worker of a
        # local runner would get about 10 MB more than the others.
        | 'SpreadSplit' >> beam.Reshuffle()
        | 'Deal' >> beam.Map(steps.deal_bucket, AsSingleton(layout), job.options, key_bytes)
    )  # Table
    placed = dealt | 'LeaveOutCopies' >> beam.Map(steps.leave_out_copies)  # Table
    leaked = (
        placed
        | 'GroupByDealtContent' >> GroupByBucket(grouping.content_keys, table.CONTENT, buckets)
        | 'UnpackDealtContents' >> beam.Map(unpack_bucket, table.CONTENT)
        | 'FindLeaked' >> beam.FlatMap(steps.find_leaked)
    )  # (kind, Table | Counts)
    leaked_tables = leaked | 'LeakedTables' >> beam.FlatMap(steps.select_kind, steps.TABLES)
    if job.options.near_duplicates == 'mark':
        copies = near_steps.find_copies(visual, placed, buckets)
        leaked_tables = (leaked_tables, copies) | 'AllLeaked' >> beam.Flatten()

    written = _written_shards(dealt, leaked_tables, layout, job)
    traced = _traced_products(pipeline, split, job)
    by_label = (
        written
        | 'LabelsBySplit' >> beam.Map(steps.labels_by_split)
        | 'SumByLabel' >> beam.CombinePerKey(steps.sum_labels)
    )  # split, int64 [3, classes]
    counts = (
        (
            checked,
            split | 'CountSplit' >> beam.FlatMap(steps.select_counts),
            leaked | 'CountLeaked' >> beam.FlatMap(steps.select_counts),
        )
        | 'AllCounts' >> beam.Flatten()
        | 'SumCounts' >> beam.CombineGlobally(steps.sum_counts)
    )  # Counts, one
    _ = (
        pipeline
        | 'OnceAll' >> beam.Create([None])
        | 'Commit'
        >> beam.Map(
            _commit,
            AsList(written | 'LeaveOutLabels' >> beam.Map(steps.leave_out_labels)),
            AsDict(by_label),
            AsSingleton(pieces),
            AsList(tables | 'KeepBlank' >> beam.Map(steps.blank_rows)),
            AsSingleton(layout),
            AsSingleton(counts),
            AsSingleton(fingerprint),
            AsList(traced),
            job,
        )
    )


def read_products(pipeline: beam.Pipeline, job: Job) -> Reading:
    """Adds the steps that read the source, and end the job if too much of it is rejected."""
    scans = ProvenScans(
        pipeline,
        job.source,
        range_bytes=job.range_bytes,
        categories=job.categories,
        decode=job.options.verify == 'decode',
        keep_rejected=job.keep_rejected,
        visual=job.options.near_duplicates != 'off',
        split_groups=functools.partial(rules.hash_splits, **classes.split_rule(job.options)),
        pseudo_labels=job.pseudo_labels,
        meter=job.meter,
    )
    scanned = scans.summaries() | 'UnpackScans' >> beam.FlatMap(steps.unpack_scan)
    buckets = grouping.bucket_count(job.source.total_bytes())
    first_documents = _first_documents(scanned, scans, buckets, job.source.key_bytes())
    pieces = (
        (
            scanned | 'RejectedByScan' >> beam.FlatMap(steps.select_kind, steps.REJECTED),
            first_documents | 'RejectedById' >> beam.FlatMap(steps.select_kind, steps.REJECTED),
        )
        | 'AllRejected' >> beam.Flatten()
        | 'JoinRejected' >> beam.CombineGlobally(steps.join_rejected, job.keep_rejected)
    )
    tables = first_documents | 'FirstDocuments' >> beam.FlatMap(steps.select_kind, steps.TABLES)
    return Reading(
        tables=tables,
        visual=first_documents | 'Visual' >> beam.FlatMap(steps.select_kind, steps.VISUAL),
        pieces=pieces,
        counts=_checked_counts(scanned, first_documents, pieces, job),
        fingerprint=(
            tables
            | 'Fingerprint' >> beam.Map(steps.fingerprint_rows)
            | 'SumFingerprints' >> beam.CombineGlobally(steps.sum_fingerprints)
        ),
    )


def _first_documents(
    scanned: PCollection, scans: ProvenScans, buckets: int, key_bytes: int
) -> PCollection:
    """Returns the first document of each product id: (kind, Table | Counts | RejectedPieces)."""
    kept = table.with_key(table.DOCUMENT, key_bytes)
    later = (
        scanned
        | 'Documents' >> beam.FlatMap(steps.select_kind, steps.DOCUMENTS)
        | 'GroupByProduct' >> GroupByBucket(grouping.product_keys, kept, buckets)
        | 'UnpackProducts' >> beam.Map(unpack_bucket, kept)
        | 'LaterDocuments' >> beam.Map(repeats.later_documents)
    )  # Table
    return scans.scans() | 'KeepFirstDocuments' >> beam.FlatMap(
        steps.keep_first_documents, AsList(later)
    )


def _checked_counts(
    scanned: PCollection, first_documents: PCollection, pieces: PCollection, job: Job
) -> PCollection:
    """Returns the counts of what was read: Counts, one."""
    return (
        (
            scanned | 'CountScanned' >> beam.FlatMap(steps.select_counts),
            first_documents | 'CountRepeated' >> beam.FlatMap(steps.select_counts),
        )
        | 'ScanCounts' >> beam.Flatten()
        | 'SumScanCounts' >> beam.CombineGlobally(steps.sum_counts)
        | 'CheckRejected'
        >> beam.Map(
            steps.require_few_rejected,
            AsSingleton(pieces),
            job.source,
            job.options.max_rejected_fraction,
        )
    )


def _group_by_class(
    tables: PCollection, options: ShardOptions, buckets: int, key_bytes: int
) -> PCollection:
    """Groups all rows of each class: (bucket of classes, [packed rows])."""
    scanned, classed = (table.with_key(k, key_bytes) for k in (table.SCANNED, table.CLASSED))
    if options.duplicates == 'drop':
        tables = (
            tables
            | 'GroupByContent' >> GroupByBucket(grouping.content_keys, scanned, buckets)
            | 'UnpackContents' >> beam.Map(unpack_bucket, scanned)
            | 'MarkRepeats' >> beam.Map(steps.mark_repeated_contents)
        )
    return tables | 'GroupByClass' >> GroupByBucket(
        classes.class_keys, classed, buckets, seed=options.seed
    )


def _layout(
    pipeline: beam.Pipeline, split: PCollection, checked: PCollection, job: Job
) -> PCollection:
    """Returns the layout: Layout, one."""
    class_counts = split | 'ClassCounts' >> beam.FlatMap(steps.select_kind, steps.CLASS_COUNTS)
    return (
        pipeline
        | 'Once' >> beam.Create([None])
        | 'PlanShards'
        >> beam.Map(
            steps.plan_shards, AsList(class_counts), AsSingleton(checked), job.options, job.meter
        )
    )


def _written_shards(
    dealt: PCollection, leaked: PCollection, layout: PCollection, job: Job
) -> PCollection:
    """Writes the shards: WrittenShard."""
    writer = ShardWriter(
        source=job.source,
        categories=job.categories,
        options=job.options,
        staging=commit.staging_folder(job.output),
        output=job.output,
        ownership=job.ownership,
    )
    is_cut = cuts.is_cut(job.source, job.options)
    marks = leaked | 'PackLeakedByShard' >> beam.FlatMap(
        steps.pack_by_shard, AsSingleton(layout), job.source, table.LEAKED, is_cut
    )
    shard_runs = [AsMultiMap(_written_parts(dealt, writer))] if is_cut else []
    return (
        dealt
        | 'PackByShard'
        >> beam.FlatMap(
            steps.pack_by_shard,
            AsSingleton(layout),
            job.source,
            table.with_key(table.DEALT, job.source.key_bytes()),
            is_cut,
        )
        | 'GroupByShard' >> beam.GroupByKey()  # group, [ShardRows]
        | 'WriteShards'
        >> beam.FlatMap(steps.write_shards, AsMultiMap(marks), writer, job.meter, *shard_runs)
    )


def _written_parts(dealt: PCollection, writer: ShardWriter) -> PCollection:
    """Cuts the source, and writes its parts: group, Run."""
    return (
        dealt
        | 'SplitIntoParts' >> beam.FlatMap(cuts.split_into_parts)
        | 'GroupByPart' >> beam.GroupByKey()
        | 'WriteParts' >> beam.FlatMap(cuts.write_part, writer.source, writer.staging)
    )


def _traced_products(pipeline: beam.Pipeline, split: PCollection, job: Job) -> PCollection:
    """Writes `products.parquet` if products are traced: number of keys."""
    if not job.source.key_bytes():
        return pipeline | 'NoProducts' >> beam.Create([])
    return (
        split
        | 'SelectTraced' >> beam.FlatMap(steps.select_kind, steps.TABLES)
        | 'TraceProducts' >> beam.FlatMap(steps.trace_products, job.source, job.categories)
        | 'GroupTraced' >> beam.GroupByKey()
        | 'WriteTraced' >> beam.Map(steps.write_products, commit.staging_folder(job.output))
    )


def _commit(
    _: None,
    written: list[WrittenShard],
    by_label: dict[str, npt.NDArray[np.int64]],
    pieces: RejectedPieces,
    blank: list[Table],
    layout: Layout,
    counts: Counts,
    fingerprint: npt.NDArray[np.uint64],
    traced: list[int],
    job: Job,
) -> None:
    if job.ownership:
        job.ownership.require()
    staging = commit.staging_folder(job.output)
    rejected.write_rejected(
        staging, job.source, pieces.sorted(), most_bytes=job.keep_rejected_bytes
    )
    counts = steps.sum_counts([counts])  # a copy: a runner may call this again with the same one
    counts.notes['blank_pictures'] += rejected.write_blank(staging, job.source, join(blank))
    made = commit.build_manifest(
        written,
        by_label=by_label,
        options=job.options,
        tree=job.categories,
        layout=layout,
        counts=counts,
        fingerprint=steps.format_fingerprint(fingerprint),
    )
    if any(traced):
        made = commit.with_keys(made)
    names = (rejected.INDEX, rejected.BYTES, rejected.BLANK)
    commit.commit(
        job.output,
        made=made,
        tree_bytes=job.category_bytes,
        traced=bool(traced),
        staged_rejected=[n for n in names if storage.exists(storage.join(staging, n))],
    )
