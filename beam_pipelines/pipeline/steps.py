"""The functions that Beam calls, elements in and elements out. Other modules do the work."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines import ledger, packing, table
from beam_pipelines.ledger import Counts
from beam_pipelines.local.meter import Meter
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import counters
from beam_pipelines.plan import classes, repeats, rules
from beam_pipelines.plan.classes import Layout, ProductGroups
from beam_pipelines.scan.rejected_pieces import RejectedPieces
from beam_pipelines.scan.scan import Scan, rejected_picture
from beam_pipelines.table import BLANK, Table, join
from beam_pipelines.write import cuts, products, rejected, shard_groups, shard_writer
from beam_pipelines.write.cuts import Run
from beam_pipelines.write.shard_groups import Group
from beam_pipelines.write.shard_writer import ShardWriter, WrittenShard
from catalog.categories import Categories
from catalog.shards import ShardName
from catalog.sources.source import Rejected, Source

# Kinds of output of a step that has several. Such a step yields pairs of kind and value, and the
# next step takes one kind: Beam's DaskRunner mixes up tagged outputs.
TABLES, DOCUMENTS, COUNTS = 'tables', 'documents', 'counts'
REJECTED, CLASS_COUNTS, VISUAL = 'rejected', 'class_counts', 'visual'

ShardRows = tuple[tuple[str, int, int], bytes]  # shard name, packed rows


def select_kind(output: tuple[str, Any], kind: str) -> Iterator[Any]:
    """Yields the value if it is of one kind."""
    if output[0] == kind:
        yield output[1]


def select_counts(output: tuple[str, Any]) -> Iterator[Counts]:
    """Yields the value if it is counts, and adds these to the Beam metrics."""
    for counts in select_kind(output, COUNTS):
        counters.count_places(counts)
        yield counts


def unpack_scan(scan: Scan) -> Iterator[tuple[str, Any]]:
    """Yields what is needed before the rows: (kind, Counts | RejectedPieces | documents)."""
    yield COUNTS, scan.counts
    if scan.rejected.first:
        yield REJECTED, scan.rejected
    if len(scan.table):
        yield DOCUMENTS, repeats.documents(scan.table)


def keep_first_documents(scan: Scan, later: list[Table]) -> Iterator[tuple[str, Any]]:
    """Yields the rows of the first document of each product id, and rejects the other rows."""
    first, others = repeats.separate(scan.table, join(later))
    if len(first):
        yield TABLES, first
    if len(scan.visual):
        yield VISUAL, repeats.separate(scan.visual, join(later))[0]
    if not len(others):
        return
    counts = Counts()
    counts.pictures['rejected_duplicate_id'] += len(others)
    counts.bytes['rejected_duplicate_id'] += int(others['length'].sum())
    pieces = RejectedPieces(scan.rejected.limit)
    for row in others:
        message = 'an earlier document has the same _id'
        pieces.add(rejected_picture(row, reason='duplicate_id', message=message))
    yield REJECTED, pieces
    documents = {(row['file'], row['document']) for row in others}
    counts.documents['rejected_duplicate_id'] += len(documents)
    yield COUNTS, counts


def mark_repeated_contents(rows: Table) -> Table:
    """Returns the rows of complete contents, with repeats marked."""
    marked, _ = repeats.mark_repeats(rows)
    return marked


def split_bucket(
    rows: Table, options: ShardOptions, groups: ProductGroups | None = None
) -> Iterator[tuple[str, Any]]:
    """Splits complete classes: (kind, Counts | class counts | packed rows)."""
    kept, class_counts, counts = classes.split_classes(rows, options, groups)
    yield COUNTS, counts
    yield CLASS_COUNTS, class_counts
    yield TABLES, packing.pack(kept, table.with_key(table.SPLIT, table.key_bytes(kept.dtype)))


def deal_bucket(rows: bytes, layout: Layout, options: ShardOptions, key_bytes: int) -> Table:
    """Deals packed rows of complete classes to shards."""
    split = table.with_key(table.SPLIT, key_bytes)
    return classes.deal_classes(packing.unpack([rows], split), layout, options)


def trace_products(
    rows: bytes, source: Source, categories: Categories | None
) -> Iterator[tuple[None, bytes]]:
    """Yields the products of packed rows of complete classes, with their places in the source."""
    table_rows = packing.unpack([rows], table.with_key(table.SPLIT, source.key_bytes()))
    if len(table_rows):
        yield None, products.trace(table_rows, source, categories)


def write_products(element: tuple[None, Iterable[bytes]], staging: str) -> int:
    """Writes the products of all parts. Returns the number of keys."""
    return products.write(element[1], staging)


def sum_counts(parts: Iterable[Counts]) -> Counts:
    """Returns the sum of counts."""
    total = Counts()
    for part in parts:
        total.add(part)
    return total


def join_rejected(parts: Iterable[RejectedPieces], limit: int) -> RejectedPieces:
    """Returns the rejected pieces of all parts, up to a limit."""
    total = RejectedPieces(limit)
    for part in parts:
        total.join(part)
    return total


def require_few_rejected(
    counts: Counts, pieces: RejectedPieces, source: Source, max_fraction: float
) -> Counts:
    """Returns the counts, or raises a UserError if too much is rejected or missing."""

    def describe(some: Iterable[Rejected | None]) -> str:
        return '; '.join(rejected.describe(source, piece) for piece in some if piece)

    ledger.check_rejected(
        counts,
        max_fraction=max_fraction,
        first=describe(pieces.sorted()[:1]),
        largest=describe(pieces.largest),
    )
    ledger.check_gaps(
        counts,
        max_fraction=max_fraction,
        default=ShardOptions.max_rejected_fraction,
        first=describe([pieces.gap]),
    )
    return counts


def plan_shards(
    _: None,
    class_counts: list[npt.NDArray[np.void]],
    checked: Counts,
    options: ShardOptions,
    meter: Meter,
) -> Layout:
    """Returns the layout of the shards."""
    del checked  # only awaited: too many rejects end the job before any shard is written
    layout = classes.build_layout(class_counts, options)
    planned = sum(layout.shards.values())
    counters.count_planned(planned)
    meter.add('planned_shards', planned)
    return layout


def leave_out_copies(rows: Table) -> Table:
    """Returns the rows of first copies, since repeats are counted in the input."""
    return rows.take(np.flatnonzero(rows['copy'] == 0))


def find_leaked(rows: Table) -> Iterator[tuple[str, Any]]:
    """Yields the counts of repeats and the leaked pictures of complete contents."""
    _, found = repeats.mark_repeats(rows)
    counts = Counts()
    counts.notes.update(found)
    yield COUNTS, counts
    yield TABLES, repeats.leaked(rows)


def pack_by_shard(
    rows: Table,
    layout: Layout,
    source: Source,
    kept: Any,  # a dtype; Beam mistakes its type for another
    is_cut: bool,
) -> Iterator[tuple[Group, ShardRows]]:
    """Yields the packed rows of each shard, keyed by the shard's group."""
    for name, shard_rows in shard_writer.group_by_shard(rows, layout.shards):
        group = shard_groups.shard_group(name, layout.shards, source=source, is_cut=is_cut)
        yield group, (dataclasses.astuple(name), packing.pack(shard_rows, kept))


def write_shards(
    element: tuple[Group, Iterable[ShardRows]],
    leaked_by_group: Mapping[Group, Iterable[ShardRows]],
    writer: ShardWriter,
    meter: Meter,
    runs_by_group: Mapping[Group, Iterable[Run]] | None = None,
) -> Iterator[WrittenShard]:
    """Writes the shards of a group; from the parts of the source, if it is cut."""
    group, parts = element
    if runs_by_group is not None:
        fetch = functools.partial(cuts.fetch, list(runs_by_group[group]), writer.staging)
        writer = dataclasses.replace(writer, fetch=fetch)
    rows = _unpack_shards(parts, table.with_key(table.DEALT, writer.source.key_bytes()))
    for shard, leaked in _unpack_shards(leaked_by_group[group], table.LEAKED).items():
        rows[shard] = repeats.mark_leaked(rows[shard], leaked)
    for written in shard_groups.write_group(writer, rows):
        counters.count_shard(written)
        meter.add('written_shards', 1)
        yield written


def _unpack_shards(parts: Iterable[ShardRows], kept: np.dtype[np.void]) -> dict[ShardName, Table]:
    """Returns the rows of each shard in one table."""
    found: dict[ShardName, list[bytes]] = {}
    for name, rows in parts:
        found.setdefault(ShardName(*name), []).append(rows)
    return {shard: packing.unpack(rows, kept) for shard, rows in found.items()}


def labels_by_split(written: WrittenShard) -> tuple[str, npt.NDArray[np.int64]]:
    """Returns a shard's split and its numbers by label."""
    return written.split, written.by_label


def leave_out_labels(written: WrittenShard) -> WrittenShard:
    """Returns a shard without its numbers by label, which are large and summed separately."""
    return dataclasses.replace(written, by_label=written.by_label[:, :0])


def sum_labels(parts: Iterable[npt.NDArray[np.int64]]) -> Any:
    """Returns the sum of shards' numbers by label."""
    return sum(parts)


def blank_rows(rows: Table) -> Table:
    """Returns the rows of blank pictures."""
    return rows[rows['traits'] & BLANK != 0]


def fingerprint_rows(rows: Table) -> npt.NDArray[np.uint64]:
    """Returns two sums of the rows' hashes: the same for the same products from any source."""
    columns = [rows[name] for name in ('product_id', 'index', 'label', 'hash_high', 'hash_low')]
    # A split that the source determines is in the label's higher half, which is empty otherwise.
    columns[2] = columns[2].astype(np.int64) + (rows['split'].astype(np.int64) << 32)
    salts = ('fingerprint', 'fingerprint 2')
    hashes = np.stack([rules.hash_rows(*columns, salt=salt, seed=0) for salt in salts])
    return hashes.sum(axis=1, dtype=np.uint64)


def sum_fingerprints(
    parts: Iterable[npt.NDArray[np.uint64]],
) -> npt.NDArray[np.uint64]:
    """Returns the fingerprint of all parts."""
    total = np.zeros(2, np.uint64)
    for part in parts:
        total += part
    return total


def format_fingerprint(fingerprint: npt.NDArray[np.uint64]) -> str:
    """Returns a fingerprint in hex, as in the manifest."""
    return ''.join(f'{part:016x}' for part in fingerprint.tolist())
