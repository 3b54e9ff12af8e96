"""The Beam steps that find near duplicates. `beam_pipelines.near_duplicates` does the work."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import AsList

from beam_pipelines.near_duplicates import matching
from beam_pipelines.near_duplicates.columns import HELD_OUT, LINKED, PLACED, VISUAL
from beam_pipelines.near_duplicates.visual_hash import BAND_BITS, BANDS, HASH
from beam_pipelines.plan import rules
from beam_pipelines.plan.classes import ProductGroups
from beam_pipelines.table import NEAR_COPY, Table, empty, with_columns
from catalog.listings import runs

Bucket = tuple[int, Iterable[tuple[bool, bytes]]]  # number, kind and bytes of rows


def find_copies(
    visual: beam.PCollection, placed: beam.PCollection, buckets: int
) -> beam.PCollection:
    """Finds the held-out pictures that are near a picture of train: Table.

    Args:
      visual: Visual hashes, VISUAL.
      placed: Rows of first copies with their splits and shards, Table.
      buckets: Number of buckets in which rows are grouped.
    """
    return (
        (
            visual | 'VisualByProduct' >> beam.FlatMap(_by_product, True, buckets),
            placed | 'PlacesByProduct' >> beam.FlatMap(_by_product, False, buckets),
        )
        | 'VisualAndPlaces' >> beam.Flatten()
        | 'JoinByProduct' >> beam.GroupByKey()
        | 'SplitIntoBands' >> beam.FlatMap(_by_band, buckets)
        | 'GroupByBand' >> beam.GroupByKey()
        | 'FindNearCopies' >> beam.FlatMap(_copies, buckets)
    )


def group_products(
    pipeline: beam.Pipeline, visual: beam.PCollection, buckets: int
) -> beam.PCollection:
    """Groups the products that have pictures near each other: ProductGroups, one.

    Args:
      pipeline: Pipeline to add the steps to.
      visual: Visual hashes, VISUAL.
      buckets: Number of buckets in which rows are grouped.
    """
    links = (
        visual
        | 'LinkByBand' >> beam.FlatMap(_all_by_band, buckets)
        | 'GroupLinksByBand' >> beam.GroupByKey()
        | 'LinkProducts' >> beam.FlatMap(_links, buckets)
    )  # int64 [links, 2]
    return (
        pipeline
        | 'OnceLinked' >> beam.Create([None])
        | 'GroupProducts' >> beam.Map(_groups, AsList(links))
    )


def _by_product(
    rows: Table, is_visual: bool, buckets: int
) -> Iterator[tuple[int, tuple[bool, bytes]]]:
    if not is_visual:
        rows = with_columns(rows, PLACED)
    for bucket, some in runs.groups(rows, rows['product_id'] % buckets):
        yield bucket, (is_visual, some.tobytes())


def _by_band(joined: Bucket, buckets: int) -> Iterator[tuple[int, tuple[bool, bytes]]]:
    placed, visual = _unpack(joined[1], PLACED, VISUAL)
    rows = _join(placed, visual)
    train = rows['split'] == rules.TRAIN
    for is_held_out, some in (
        (False, with_columns(rows[train], HASH)),
        (True, rows[~train]),
    ):
        for bucket, part in _bands(some, buckets):
            yield bucket, (is_held_out, part)


def _all_by_band(visual: Table, buckets: int) -> Iterator[tuple[int, bytes]]:
    yield from _bands(with_columns(visual, LINKED), buckets)


def _bands(rows: Table, buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yields the rows once for each band, by the bits of the band."""
    for band in range(BANDS):
        values = matching.band_values(rows, band)
        for bucket, some in runs.groups(rows, values * _buckets_per_band(buckets) >> BAND_BITS):
            yield band * _buckets_per_band(buckets) + bucket, some.tobytes()


def _buckets_per_band(buckets: int) -> int:
    return -(-buckets // BANDS)


def _copies(grouped: Bucket, buckets: int) -> Iterator[Table]:
    train, held_out = _unpack(grouped[1], HASH, HELD_OUT)
    band = grouped[0] // _buckets_per_band(buckets)
    found = held_out[matching.find_copies(held_out, train, band)]
    if len(found):
        rows = empty(len(found))
        for name in PLACED.names or ():
            rows[name] = found[name]
        rows['leaked'] = NEAR_COPY
        yield rows


def _links(grouped: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[npt.NDArray[np.int64]]:
    rows = np.frombuffer(b''.join(grouped[1]), LINKED)
    links = matching.link_products(
        rows['product_id'], rows, grouped[0] // _buckets_per_band(buckets)
    )
    if len(links):
        yield links


def _groups(_: None, links: list[npt.NDArray[np.int64]]) -> ProductGroups:
    pairs = np.concatenate([*links, np.zeros((0, 2), np.int64)])
    return ProductGroups(*matching.group_products(pairs))


def _unpack(
    parts: Iterable[tuple[bool, bytes]], first: np.dtype[np.void], second: np.dtype[np.void]
) -> tuple[Table, Table]:
    """Returns the rows of the first kind (False) and of the second (True)."""
    by_kind: dict[bool, list[bytes]] = {False: [], True: []}
    for kind, rows in parts:
        by_kind[kind].append(rows)
    return (
        np.frombuffer(b''.join(by_kind[False]), first),
        np.frombuffer(b''.join(by_kind[True]), second),
    )


def _join(placed: Table, visual: Table) -> Table:
    """Returns the rows of the pictures that are in both tables, HELD_OUT."""
    ids = np.concatenate([placed['product_id'], visual['product_id']])
    indices = np.concatenate([placed['index'], visual['index']])
    order = np.lexsort([indices, ids])  # stable: places are before hashes
    same = (ids[order[1:]] == ids[order[:-1]]) & (indices[order[1:]] == indices[order[:-1]])
    rows = with_columns(placed.take(order[:-1][same]), HELD_OUT)
    hashes = visual.take(order[1:][same] - len(placed))
    for name in HASH.names or ():
        rows[name] = hashes[name]
    return rows
