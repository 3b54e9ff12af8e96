"""Which step follows which in Beam. What each does is in `steps`.

Tables move, not pictures: a row takes some 30 bytes, and the bytes of a picture are read once to be
hashed and once to be written.
"""

from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import AsDict, AsIter, AsList, AsMultiMap, AsSingleton, PCollection

from beam_pipelines import table
from beam_pipelines.local.meter import Meter
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import grouping, steps
from beam_pipelines.pipeline.grouping import Grouped, joined
from beam_pipelines.pipeline.proven_scans import ProvenScans
from beam_pipelines.plan import resolve
from beam_pipelines.plan.assign import Layout
from beam_pipelines.scan.scan import Counts, Rejected
from beam_pipelines.sources.source import Source
from beam_pipelines.table import Table, join
from beam_pipelines.write import commit, rejected
from beam_pipelines.write.gather import Gathered, Gatherer
from catalog import storage
from catalog.categories import Categories


@dataclass(frozen=True)
class Job:
    """One run: what is read, what is made of it, and where it goes.

    Attributes:
      source: of the products.
      categories: None for unlabelled data.
      category_bytes: the file of the tree, to lie beside the manifest.
      options: what changes the result.
      output: folder of the data set.
      range_bytes: what one element of the scan reads.
      meter: is told how far the run is.
    """

    source: Source
    categories: Categories | None
    category_bytes: bytes | None
    options: ShardOptions
    output: str
    range_bytes: int
    meter: Meter = field(default_factory=Meter)


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds the whole job to a pipeline."""
    buckets = grouping.buckets_for(job.source.total_bytes())
    scans = ProvenScans(
        pipeline,
        job.source,
        range_bytes=job.range_bytes,
        label_of=job.categories.label_by_id if job.categories else None,
        decode=job.options.verify == 'decode',
        meter=job.meter,
    )
    told = scans.told() | 'Unpack' >> beam.FlatMap(steps.unpack)
    firsts = _first_documents(told, scans, buckets)
    # Both: (kind, Table | Counts | Rejected).
    pieces = (
        told | 'Damaged' >> beam.FlatMap(steps.only, steps.REJECTED),
        firsts | 'RepeatedIds' >> beam.FlatMap(steps.only, steps.REJECTED),
    ) | 'AllRejected' >> beam.Flatten()
    checked = _checked(told, firsts, pieces, job)
    tables = firsts | 'FirstDocuments' >> beam.FlatMap(steps.only, steps.TABLES)

    split = (
        _by_class(tables, job.options, buckets)
        | 'JoinToSplit' >> beam.Map(joined, table.CLASSED)
        | 'AssignSplits' >> beam.FlatMap(steps.assign_splits, job.options)
    )  # (kind, Counts | class counts | bytes of rows)
    layout = _laid_out(pipeline, split, checked, job)
    dealt = (
        split
        | 'KeepSplit' >> beam.FlatMap(steps.only, steps.TABLES)
        # What waits for the layout is shared out anew: as it lies, by a local runner's workers, one
        # of them would get some 10 MB more.
        | 'SpreadSplit' >> beam.Reshuffle()
        | 'Deal' >> beam.Map(steps.deal, AsSingleton(layout), job.options)
    )  # Table
    leaked = (
        dealt
        | 'Shown' >> beam.Map(steps.shown)
        | 'ByHashAgain' >> Grouped(grouping.by_hash, table.SHOWN, buckets)
        | 'JoinShown' >> beam.Map(joined, table.SHOWN)
        | 'FindLeaked' >> beam.FlatMap(steps.find_leaked)
    )  # (kind, Table | Counts)

    gathered = _gathered(dealt, leaked, layout, job)
    by_label = (
        gathered
        | 'ByLabel' >> beam.Map(steps.labels_of)
        | 'SumByLabel' >> beam.CombinePerKey(steps.sum_labels)
    )  # split, int64 [3, classes]
    counts = (
        (
            checked,
            split | 'CountSplit' >> beam.FlatMap(steps.counts),
            leaked | 'CountLeaked' >> beam.FlatMap(steps.counts),
        )
        | 'AllCounts' >> beam.Flatten()
        | 'SumCounts' >> beam.CombineGlobally(steps.sum_counts)
    )  # Counts, one
    fingerprint = (
        tables
        | 'Fingerprint' >> beam.Map(steps.fingerprint)
        | 'SumFingerprints' >> beam.CombineGlobally(steps.sum_fingerprints)
    )  # uint64 [2], one
    _ = (
        pipeline
        | 'OnceAll' >> beam.Create([None])
        | 'Commit'
        >> beam.Map(
            _commit,
            AsList(gathered | 'Lines' >> beam.Map(steps.line_of)),
            AsDict(by_label),
            AsList(pieces),
            AsList(tables | 'KeepBlank' >> beam.Map(steps.blank)),
            AsSingleton(layout),
            AsSingleton(counts),
            AsSingleton(fingerprint),
            job,
        )
    )


def _first_documents(told: PCollection, scans: ProvenScans, buckets: int) -> PCollection:
    """The first documents of all product ids: (kind, Table | Counts | Rejected)."""
    later = (
        told
        | 'Documents' >> beam.FlatMap(steps.only, steps.DOCUMENTS)
        | 'ByProduct' >> Grouped(grouping.by_product, table.DOCUMENT, buckets)
        | 'JoinDocuments' >> beam.Map(joined, table.DOCUMENT)
        | 'LaterDocuments' >> beam.Map(resolve.later_documents)
    )  # Table
    return scans.scans() | 'KeepFirstDocuments' >> beam.FlatMap(
        steps.first_documents, AsList(later)
    )


def _checked(told: PCollection, firsts: PCollection, pieces: PCollection, job: Job) -> PCollection:
    """The counts of what was read: Counts, one."""
    return (
        (
            told | 'CountScanned' >> beam.FlatMap(steps.counts),
            firsts | 'CountRepeated' >> beam.FlatMap(steps.counts),
        )
        | 'ScanCounts' >> beam.Flatten()
        | 'SumScanCounts' >> beam.CombineGlobally(steps.sum_counts)
        | 'CheckRejected'
        >> beam.Map(
            steps.check_rejected, AsIter(pieces), job.source, job.options.max_rejected_fraction
        )
    )


def _by_class(tables: PCollection, options: ShardOptions, buckets: int) -> PCollection:
    """All rows of each class: (bucket of classes, [Table])."""
    if options.duplicates == 'drop':
        tables = (
            tables
            | 'ByHash' >> Grouped(grouping.by_hash, table.SCANNED, buckets)
            | 'JoinContents' >> beam.Map(joined, table.SCANNED)
            | 'MarkRepeats' >> beam.Map(steps.mark_repeats)
        )
    return tables | 'ByClass' >> Grouped(grouping.by_class, table.CLASSED, buckets, options.seed)


def _laid_out(
    pipeline: beam.Pipeline, split: PCollection, checked: PCollection, job: Job
) -> PCollection:
    """Layout, one."""
    class_counts = split | 'ClassCounts' >> beam.FlatMap(steps.only, steps.CLASS_COUNTS)
    return (
        pipeline
        | 'Once' >> beam.Create([None])
        | 'LayOut'
        >> beam.Map(
            steps.lay_out, AsList(class_counts), AsSingleton(checked), job.options, job.meter
        )
    )


def _gathered(
    dealt: PCollection, leaked: PCollection, layout: PCollection, job: Job
) -> PCollection:
    """The shards, written: Gathered."""
    gatherer = Gatherer(
        source=job.source,
        categories=job.categories,
        options=job.options,
        staging=commit.staging_of(job.output),
        output=job.output,
    )
    marks = (
        leaked
        | 'Leaked' >> beam.FlatMap(steps.only, steps.TABLES)
        | 'LeakedByShard'
        >> beam.FlatMap(steps.by_shard, AsSingleton(layout), job.source, table.LEAKED)
    )
    return (
        dealt
        | 'ByShard' >> beam.FlatMap(steps.by_shard, AsSingleton(layout), job.source, table.DEALT)
        | 'GroupByShard' >> beam.GroupByKey()  # group, [OfShard]
        | 'Gather' >> beam.FlatMap(steps.gather, AsMultiMap(marks), gatherer, job.meter)
    )


def _commit(
    _: None,
    gathered: list[Gathered],
    by_label: dict[str, npt.NDArray[np.int64]],
    pieces: list[Rejected],
    blank: list[Table],
    layout: Layout,
    counts: Counts,
    fingerprint: npt.NDArray[np.uint64],
    job: Job,
) -> None:
    staging = commit.staging_of(job.output)
    rejected.write(staging, job.source, pieces)
    counts.notes['blank_pictures'] += rejected.list_blank(staging, job.source, join(blank))
    made = commit.build_manifest(
        gathered,
        by_label=by_label,
        options=job.options,
        tree=job.categories,
        layout=layout,
        counts=counts,
        fingerprint=''.join(f'{part:016x}' for part in fingerprint.tolist()),
    )
    names = (rejected.INDEX, rejected.BYTES, rejected.BLANK)
    commit.commit(
        job.output,
        made=made,
        tree_bytes=job.category_bytes,
        staged_rejected=[n for n in names if storage.exists(storage.join(staging, n))],
    )
