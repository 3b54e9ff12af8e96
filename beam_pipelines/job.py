"""Which step follows which in Beam. The work of each step is in the module it calls.

Tables move, not pictures: a row is 72 bytes, and a picture's bytes are read once to hash them and
once to write them. Every table that is grouped is cut into a fixed number of buckets first, so that
neither many classes nor many ranges make many small elements.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import AsIter, AsList, AsSingleton

from beam_pipelines import (
    assign,
    commit,
    ledger,
    metrics,
    plan,
    rejected,
    resolve,
    seams,
    together,
)
from beam_pipelines.assign import Layout
from beam_pipelines.gather import Gathered, Gatherer, shards_of
from beam_pipelines.meter import Meter
from beam_pipelines.options import ShardOptions
from beam_pipelines.scan import Counts, Range, Rejected, Scan
from beam_pipelines.seams import Edge, Proof
from beam_pipelines.sources.source import Source
from beam_pipelines.table import BLANK, Table, groups, join
from beam_pipelines.together import Group
from catalog import storage
from catalog.categories import Categories
from catalog.shards import ShardName

# How many parts a table is cut into for a step that needs all rows of a key: more than the workers
# of a large job, few enough that a part holds many rows of a small one.
_BUCKETS = 64

# Kinds of output of a step that has several. Pairs of kind and value go on, and a next step takes
# one kind: Beam's own tagged outputs get mixed up on Dask.
TABLES, COUNTS, REJECTED, CLASS_COUNTS = 'tables', 'counts', 'rejected', 'class_counts'


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
    scans = _proven_scans(pipeline, job)
    unpacked = scans | 'Unpack' >> beam.FlatMap(_unpack)  # (kind, Table | Counts | Rejected)
    firsts = (
        unpacked
        | 'Scanned' >> beam.FlatMap(_only, TABLES)
        | 'ByProduct' >> _Bucketed(_product_keys)
        | 'KeepFirstDocuments' >> beam.FlatMap(_first_documents)
    )  # (kind, Table | Counts | Rejected)
    first_tables = firsts | 'FirstDocuments' >> beam.FlatMap(_only, TABLES)
    tables = first_tables
    if job.options.duplicates == 'drop':
        tables = (
            tables
            | 'ByHash' >> _Bucketed(_hash_keys)
            | 'MarkRepeats' >> beam.Map(lambda rows: resolve.mark_repeats(rows)[0])
        )
    split = (
        tables
        | 'ByClass' >> _Bucketed(_class_keys, job.options.seed)
        | 'AssignSplits' >> beam.FlatMap(_assign_splits, job.options)
    )  # (kind, Table | Counts | class counts)
    pieces = (
        unpacked | 'Damaged' >> beam.FlatMap(_only, REJECTED),
        firsts | 'RepeatedIds' >> beam.FlatMap(_only, REJECTED),
    ) | 'AllRejected' >> beam.Flatten()
    checked = (
        (
            unpacked | 'CountScanned' >> beam.FlatMap(_counts),
            firsts | 'CountRepeated' >> beam.FlatMap(_counts),
        )
        | 'ScanCounts' >> beam.Flatten()
        | 'SumScanCounts' >> beam.CombineGlobally(_sum_counts)
        | 'CheckRejected' >> beam.Map(_check_rejected, AsIter(pieces), job)
    )  # Counts, one
    class_counts = split | 'ClassCounts' >> beam.FlatMap(_only, CLASS_COUNTS)
    layout = (
        pipeline
        | 'Once' >> beam.Create([None])
        | 'LayOut' >> beam.Map(_lay_out, AsList(class_counts), AsSingleton(checked), job)
    )  # Layout, one
    leaked = (
        split
        | 'Split' >> beam.FlatMap(_only, TABLES)
        | 'AssignPlaces' >> beam.Map(assign.assign_places, AsSingleton(layout), job.options)
        | 'ByHashAgain' >> _Bucketed(_hash_keys)
        | 'MarkLeaked' >> beam.FlatMap(_mark_leaked)
    )  # (kind, Table | Counts)
    gatherer = Gatherer(
        source=job.source,
        categories=job.categories,
        options=job.options,
        staging=commit.staging_of(job.output),
        output=job.output,
    )
    gathered = (
        leaked
        | 'Placed' >> beam.FlatMap(_only, TABLES)
        | 'ByShard' >> beam.FlatMap(_by_shard, AsSingleton(layout), job.source)
        | 'GroupByShard' >> beam.GroupByKey()  # group, [((split, index, of), Table)]
        | 'Gather' >> beam.FlatMap(_gather, gatherer, job.meter)
    )  # Gathered
    counts = (
        (
            checked,
            split | 'CountSplit' >> beam.FlatMap(_counts),
            leaked | 'CountLeaked' >> beam.FlatMap(_counts),
        )
        | 'AllCounts' >> beam.Flatten()
        | 'SumCounts' >> beam.CombineGlobally(_sum_counts)
    )  # Counts, one
    blank = first_tables | 'KeepBlank' >> beam.Map(_blank)  # Table
    fingerprint = (
        first_tables
        | 'Fingerprint' >> beam.Map(_fingerprint)
        | 'SumFingerprints' >> beam.CombineGlobally(_sum_fingerprints)
    )  # str, one
    _ = (
        pipeline
        | 'OnceAll' >> beam.Create([None])
        | 'Commit'
        >> beam.Map(
            _commit,
            AsList(gathered),
            AsList(pieces),
            AsList(blank),
            AsSingleton(layout),
            AsSingleton(counts),
            AsSingleton(fingerprint),
            job,
        )
    )


class _Bucketed(beam.PTransform):  # type: ignore[misc]
    """Brings all rows of a key together: tables in, one table a bucket of keys out."""

    def __init__(self, keys: Callable[..., npt.NDArray[np.int64]], *args: Any) -> None:
        super().__init__()
        self._keys = keys
        self._args = args

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Applies the step."""
        return (
            tables
            | 'Cut' >> beam.FlatMap(_cut, self._keys, *self._args)  # (bucket, Table)
            | 'Group' >> beam.GroupByKey()
            | 'Join' >> beam.MapTuple(lambda _, tables: join(tables))
        )


def _proven_scans(pipeline: beam.Pipeline, job: Job) -> beam.PCollection:
    """The scans of the whole source, each document in exactly one: Scan."""
    label_of = job.categories.label_of if job.categories else None
    decode = job.options.verify == 'decode'
    scans = (
        pipeline
        | 'Ranges' >> beam.Create(job.source.split(range_bytes=job.range_bytes))
        | 'SpreadRanges' >> beam.Reshuffle()
        | 'Scan' >> beam.Map(_scan, job.source, label_of, decode, job.meter)
    )
    edges = scans | 'Edges' >> beam.Map(_edge)
    proof = (
        pipeline
        | 'OnceScanned' >> beam.Create([None])
        | 'Prove' >> beam.Map(_prove, AsList(edges), job.source)
    )
    held = scans | 'KeepProven' >> beam.Filter(_is_proven, AsSingleton(proof))
    again = (
        proof
        | 'Again' >> beam.FlatMap(lambda proof: proof.again)  # (Range, start)
        | 'SpreadAgain' >> beam.Reshuffle()
        | 'ScanAgain'
        # What is read again is no progress.
        >> beam.MapTuple(
            lambda scanned, start: _scan(scanned, job.source, label_of, decode, Meter(), start)
        )
    )
    return (held, again) | 'AllScans' >> beam.Flatten()


def _scan(
    scanned: Range,
    source: Source,
    label_of: dict[int, int] | None,
    decode: bool,
    meter: Meter,
    start: int | None = None,
) -> Scan:
    scan = source.scan(scanned, label_of=label_of, decode=decode, start=start)
    metrics.count_scan(scan)
    meter.tell('scanned_bytes', scan.bytes)
    return scan


def _edge(scan: Scan) -> Edge:
    return Edge(scan.range.file, scan.range.start, scan.range.stop, scan.first, scan.end)


def _prove(_: None, edges: list[Edge], source: Source) -> Proof:
    return seams.prove(edges, lambda scanned, start: source.end_of(scanned, start=start))


def _is_proven(scan: Scan, proof: Proof) -> bool:
    return (scan.range.file, scan.range.start) in proof.proven


def _only(output: tuple[str, Any], kind: str) -> Iterator[Any]:
    if output[0] == kind:
        yield output[1]


def _counts(output: tuple[str, Any]) -> Iterator[Counts]:
    for counts in _only(output, COUNTS):
        metrics.count(counts)
        yield counts


def _unpack(scan: Scan) -> Iterator[tuple[str, Any]]:
    yield COUNTS, scan.counts
    yield from ((REJECTED, piece) for piece in scan.rejected)
    if len(scan.table):
        yield TABLES, scan.table


def _cut(
    table: Table, keys: Callable[..., npt.NDArray[np.int64]], *args: Any
) -> Iterator[tuple[int, Table]]:
    yield from groups(table, keys(table, *args))


def _product_keys(table: Table) -> npt.NDArray[np.int64]:
    return table['product_id'] % _BUCKETS


def _hash_keys(table: Table) -> npt.NDArray[np.int64]:
    return (table['hash_low'] % _BUCKETS).astype(np.int64)


def _class_keys(table: Table, seed: int) -> npt.NDArray[np.int64]:
    return assign.class_keys(table, seed=seed) % _BUCKETS


def _first_documents(rows: Table) -> Iterator[tuple[str, Any]]:
    first, others = resolve.first_products(rows)
    yield TABLES, first
    if not len(others):
        return
    counts = Counts()
    counts.pictures['rejected_duplicate_id'] += len(others)
    for row in others:
        yield (
            REJECTED,
            Rejected(
                reason='duplicate_id',
                file=int(row['file']),
                offset=int(row['offset']),
                length=int(row['length']),
                product_id=int(row['product_id']),
                picture=int(row['index']),
                message='an earlier document has the same _id',
            ),
        )
    documents = {(row['file'], row['document']) for row in others}
    counts.documents['rejected_duplicate_id'] += len(documents)
    yield COUNTS, counts


def _assign_splits(rows: Table, options: ShardOptions) -> Iterator[tuple[str, Any]]:
    kept, class_counts, counts = assign.assign_splits(rows, options)
    yield COUNTS, counts
    yield CLASS_COUNTS, class_counts
    yield TABLES, kept


def _sum_counts(parts: Iterable[Counts]) -> Counts:
    total = Counts()
    for part in parts:
        total.add(part)
    return total


def _check_rejected(counts: Counts, pieces: Iterable[Rejected], job: Job) -> Counts:
    first = min(pieces, key=lambda piece: (piece.file, piece.offset), default=None)
    ledger.check_rejected(
        counts,
        max_fraction=job.options.max_rejected_fraction,
        first=rejected.describe(job.source, first) if first else '',
    )
    return counts


def _lay_out(
    _: None, class_counts: list[npt.NDArray[np.void]], checked: Counts, job: Job
) -> Layout:
    del checked  # only waited for: too much rejected ends the job before any shard is written
    layout = assign.lay_out(class_counts, job.options)
    job.meter.tell('planned_shards', sum(layout.shards.values()))
    return layout


def _mark_leaked(rows: Table) -> Iterator[tuple[str, Any]]:
    # Copies are not repeats: what is counted is the input.
    _, found = resolve.mark_repeats(rows[rows['copy'] == 0])
    counts = Counts()
    counts.notes.update(found)
    yield COUNTS, counts
    yield TABLES, resolve.mark_leaked(rows)


def _by_shard(
    rows: Table, layout: Layout, source: Source
) -> Iterator[tuple[Group, tuple[tuple[str, int, int], Table]]]:
    for name, of_shard in shards_of(rows, layout.shards):
        group = together.group_of(name, layout.shards, source=source)
        yield group, (dataclasses.astuple(name), of_shard)


def _gather(
    element: tuple[Group, Iterable[tuple[tuple[str, int, int], Table]]],
    gatherer: Gatherer,
    meter: Meter,
) -> Iterator[Gathered]:
    tables: dict[ShardName, list[Table]] = {}
    for name, table in element[1]:
        tables.setdefault(ShardName(*name), []).append(table)
    shards = {name: join(parts) for name, parts in tables.items()}
    for made in together.gather(gatherer, shards):
        metrics.count_shard(made)
        meter.tell('written_shards', 1)
        yield made


def _blank(rows: Table) -> Table:
    return rows[rows['traits'] & BLANK != 0]


def _fingerprint(rows: Table) -> npt.NDArray[np.uint64]:
    """Two sums over the rows' hashes: the same for the same products from any source."""
    columns = [rows[name] for name in ('product_id', 'index', 'label', 'hash_high', 'hash_low')]
    salts = ('fingerprint', 'fingerprint 2')
    hashes = np.stack([plan.mix(*columns, salt=salt, seed=0) for salt in salts])
    return hashes.sum(axis=1, dtype=np.uint64)


def _sum_fingerprints(
    parts: Iterable[npt.NDArray[np.uint64]],
) -> npt.NDArray[np.uint64]:
    total = np.zeros(2, np.uint64)
    for part in parts:
        total += part
    return total


def _commit(
    _: None,
    gathered: list[Gathered],
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
