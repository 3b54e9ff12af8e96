"""What goes into each step of the job and what comes out. The work is in the modules they call."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines import packing, table
from beam_pipelines.local.meter import Meter
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import counters as metrics
from beam_pipelines.plan import assign, plan, resolve
from beam_pipelines.plan.assign import Layout
from beam_pipelines.scan.scan import Counts, Rejected, Scan, rejected_picture
from beam_pipelines.sources.source import Source
from beam_pipelines.table import BLANK, Table, join
from beam_pipelines.write import ledger, rejected, together
from beam_pipelines.write.gather import Gathered, Gatherer, shards_of
from beam_pipelines.write.together import Group
from catalog.shards import ShardName

# Kinds of output of a step that has several. Pairs of kind and value go on, and a next step takes
# one kind: Beam's own tagged outputs get mixed up on Dask.
TABLES, DOCUMENTS, COUNTS = 'tables', 'documents', 'counts'
REJECTED, CLASS_COUNTS = 'rejected', 'class_counts'

OfShard = tuple[tuple[str, int, int], bytes]  # shard, packed rows


def only(output: tuple[str, Any], kind: str) -> Iterator[Any]:
    """The values of one kind of output."""
    if output[0] == kind:
        yield output[1]


def counts(output: tuple[str, Any]) -> Iterator[Counts]:
    """The counts, which are counted for Beam's page of the run too."""
    for counts in only(output, COUNTS):
        metrics.count(counts)
        yield counts


def unpack(scan: Scan) -> Iterator[tuple[str, Any]]:
    """What a proven scan tells before its rows are used: (kind, Table | Counts | Rejected)."""
    yield COUNTS, scan.counts
    yield from ((REJECTED, piece) for piece in scan.rejected)
    if len(scan.table):
        yield DOCUMENTS, resolve.documents(scan.table)


def first_documents(scan: Scan, later: list[Table]) -> Iterator[tuple[str, Any]]:
    """The rows of documents that are the first of their product id, the others kept aside."""
    first, others = resolve.split_off(scan.table, join(later))
    if len(first):
        yield TABLES, first
    if not len(others):
        return
    counts = Counts()
    counts.pictures['rejected_duplicate_id'] += len(others)
    for row in others:
        message = 'an earlier document has the same _id'
        yield REJECTED, rejected_picture(row, reason='duplicate_id', message=message)
    documents = {(row['file'], row['document']) for row in others}
    counts.documents['rejected_duplicate_id'] += len(documents)
    yield COUNTS, counts


def mark_repeats(rows: Table) -> Table:
    """Rows of whole contents, those that come again marked."""
    marked, _ = resolve.mark_repeats(rows)
    return marked


def assign_splits(rows: Table, options: ShardOptions) -> Iterator[tuple[str, Any]]:
    """What whole classes have in each split, where their products went, and the rows that stay."""
    kept, class_counts, counts = assign.assign_splits(rows, options)
    yield COUNTS, counts
    yield CLASS_COUNTS, class_counts
    yield TABLES, packing.pack(kept, table.SPLIT)


def deal(rows: bytes, layout: Layout, options: ShardOptions) -> Table:
    """Rows of whole classes with their copies and shards."""
    return assign.deal(packing.unpack([rows], table.SPLIT), layout, options)


def sum_counts(parts: Iterable[Counts]) -> Counts:
    """All counts in one."""
    total = Counts()
    for part in parts:
        total.add(part)
    return total


def check_rejected(
    counts: Counts, pieces: Iterable[Rejected], source: Source, max_fraction: float
) -> Counts:
    """The counts, unless too much is rejected."""
    first = min(pieces, key=lambda piece: (piece.file, piece.offset), default=None)
    ledger.check_rejected(
        counts,
        max_fraction=max_fraction,
        first=rejected.describe(source, first) if first else '',
    )
    return counts


def lay_out(
    _: None,
    class_counts: list[npt.NDArray[np.void]],
    checked: Counts,
    options: ShardOptions,
    meter: Meter,
) -> Layout:
    """How many shards and records there will be."""
    del checked  # only waited for: too much rejected ends the job before any shard is written
    layout = assign.lay_out(class_counts, options)
    meter.tell('planned_shards', sum(layout.shards.values()))
    return layout


def shown(rows: Table) -> Table:
    """What tells which pictures come again."""
    # Copies are not repeats: what is counted is the input.
    return rows.take(np.flatnonzero(rows['copy'] == 0))


def find_leaked(rows: Table) -> Iterator[tuple[str, Any]]:
    """The held-out pictures that train shows too, of whole contents; counts of what comes again."""
    _, found = resolve.mark_repeats(rows)
    counts = Counts()
    counts.notes.update(found)
    yield COUNTS, counts
    yield TABLES, resolve.leaked(rows)


def by_shard(
    rows: Table,
    layout: Layout,
    source: Source,
    kept: Any,  # a dtype: Beam takes its type for another
) -> Iterator[tuple[Group, OfShard]]:
    """The rows of each shard."""
    for name, of_shard in shards_of(rows, layout.shards):
        group = together.group_of(name, layout.shards, source=source)
        yield group, (dataclasses.astuple(name), packing.pack(of_shard, kept))


def gather(
    element: tuple[Group, Iterable[OfShard]],
    leaked_of: Mapping[Group, Iterable[OfShard]],
    gatherer: Gatherer,
    meter: Meter,
) -> Iterator[Gathered]:
    """Writes the shards of a group."""
    group, parts = element
    rows_of, marked = _joined(parts, table.DEALT), _joined(leaked_of[group], table.LEAKED)
    for shard, leaked in marked.items():
        rows_of[shard] = resolve.mark_leaked(rows_of[shard], leaked)
    for made in together.gather(gatherer, rows_of):
        metrics.count_shard(made)
        meter.tell('written_shards', 1)
        yield made


def _joined(parts: Iterable[OfShard], kept: np.dtype[np.void]) -> dict[ShardName, Table]:
    """The rows of each shard, in one table."""
    found: dict[ShardName, list[bytes]] = {}
    for name, rows in parts:
        found.setdefault(ShardName(*name), []).append(rows)
    return {shard: packing.unpack(rows, kept) for shard, rows in found.items()}


def labels_of(made: Gathered) -> tuple[str, npt.NDArray[np.int64]]:
    """What a shard holds by label, with its split."""
    return made.split, made.by_label


def line_of(made: Gathered) -> Gathered:
    """A shard without what it holds by label, which is long and summed by itself."""
    return dataclasses.replace(made, by_label=made.by_label[:, :0])


def sum_labels(parts: Iterable[npt.NDArray[np.int64]]) -> Any:
    """The sum of what shards hold by label."""
    return sum(parts)


def blank(rows: Table) -> Table:
    """The rows of blank pictures."""
    return rows[rows['traits'] & BLANK != 0]


def fingerprint(rows: Table) -> npt.NDArray[np.uint64]:
    """Two sums over the rows' hashes: the same for the same products from any source."""
    columns = [rows[name] for name in ('product_id', 'index', 'label', 'hash_high', 'hash_low')]
    salts = ('fingerprint', 'fingerprint 2')
    hashes = np.stack([plan.mix(*columns, salt=salt, seed=0) for salt in salts])
    return hashes.sum(axis=1, dtype=np.uint64)


def sum_fingerprints(
    parts: Iterable[npt.NDArray[np.uint64]],
) -> npt.NDArray[np.uint64]:
    """The fingerprint of all parts."""
    total = np.zeros(2, np.uint64)
    for part in parts:
        total += part
    return total
