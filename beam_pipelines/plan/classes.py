"""Applies the rules to the rows of complete classes, and orders the rows of a shard. No Beam."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines.ledger import Counts
from beam_pipelines.options import ShardOptions
from beam_pipelines.plan import rules
from beam_pipelines.table import BLANK, PSEUDO, Table, join, sort_by
from catalog.errors import UserError
from catalog.listings import runs
from catalog.manifest import PSEUDO_LABELLED
from catalog.shards import SPLITS

# Unlabelled products form this many pseudo-classes by hash, so that the plan stays parallel. The
# number changes the bytes of the output.
_UNLABELLED_CLASSES = 64

# One row per class and split.
CLASS_COUNT = np.dtype(
    [
        ('key', '<i8'),  # label, or -1 - pseudo-class
        ('split', 'u1'),
        ('products', '<i8'),
        ('pictures', '<i8'),
        ('pseudo', '<i8'),  # products with a pseudo-label
        ('units', '<i8'),  # products, or pictures if they are dealt singly
        ('bytes', '<i8'),  # of the pictures
    ]
)


@dataclass(frozen=True)
class Layout:
    """The number of shards of each split and of records of each class.

    Attributes:
      shards: Number of shards by split name.
      units: Number of units by split name and class key, including copies.
      counts: Rows of CLASS_COUNT, sorted.
    """

    shards: dict[str, int]
    units: dict[str, dict[int, int]]
    counts: npt.NDArray[np.void]


@dataclass(frozen=True)
class ProductGroups:
    """Products that must be in one split with others.

    Attributes:
      products: Their ids, ascending, int64 [N].
      groups: A number that the products of a group share, int64 [N].
    """

    products: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    def find(
        self, product_ids: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Returns which products have a group, bool [M], and the groups of these."""
        place = np.searchsorted(self.products, product_ids)
        place[place == len(self.products)] = 0
        found = (
            self.products[place] == product_ids
            if len(self.products)
            else np.zeros(len(product_ids), bool)
        )
        return found, self.groups[place[found]]


def split_rule(options: ShardOptions) -> dict[str, Any]:
    """Returns the arguments of the rules for splits."""
    return {
        'validation_fraction': options.validation_fraction,
        'test_fraction': options.test_fraction,
        'seed': options.seed,
    }


def class_keys(table: Table, *, seed: int) -> npt.NDArray[np.int64]:
    """Returns the class of each row, int64 [rows]: its label, or a negative pseudo-class."""
    pseudo = (
        rules.hash_rows(table['product_id'], salt='unlabelled', seed=seed) % _UNLABELLED_CLASSES
    )
    labels = table['label'].astype(np.int64)
    return np.where(labels >= 0, labels, -1 - pseudo.astype(np.int64))


def split_classes(
    table: Table, options: ShardOptions, groups: ProductGroups | None = None
) -> tuple[Table, npt.NDArray[np.void], Counts]:
    """Sets the split of every product, and drops products and pictures as the options demand.

    Returns:
      The rows that remain; rows of CLASS_COUNT; documents and pictures by place.
    """
    counts = Counts()
    kept, stats = [], []
    for key, rows in runs.groups(table, class_keys(table, seed=options.seed)):
        if options.drop_blank:
            rows = _drop(rows, rows['traits'] & BLANK != 0, 'dropped_blank', counts)
        if options.duplicates == 'drop':
            rows = _drop(rows, rows['repeat'] != 0, 'dropped_duplicate', counts)
        rows = _split_class(rows, options, groups, labelled=key >= 0)
        rows = _limit(rows, options, counts)
        for split, part in runs.groups(rows, rows['split']):
            products = len(runs.starts(part['product_id']))
            counts.documents[SPLITS[split]] += products
            counts.pictures[SPLITS[split]] += len(part)
            units = len(part) if _dealt_singly(split, options) else products
            total_bytes = int(part['length'].sum(dtype=np.int64))
            pseudo = part[part['traits'] & PSEUDO != 0]
            pseudo_products = len(runs.starts(pseudo['product_id']))
            if pseudo_products:
                counts.notes[PSEUDO_LABELLED] += pseudo_products
                counts.notes['pseudo_labelled_pictures'] += len(pseudo)
            stats.append((key, split, products, len(part), pseudo_products, units, total_bytes))
        kept.append(rows)
    return join(kept), np.array(stats, CLASS_COUNT), counts


def _drop(rows: Table, dropped: npt.NDArray[np.bool_], place: str, counts: Counts) -> Table:
    kept = rows[~dropped]
    counts.pictures[place] += len(rows) - len(kept)
    gone = len(np.unique(rows['product_id'])) - len(np.unique(kept['product_id']))
    counts.documents[place] += gone
    return kept


def _split_class(
    rows: Table, options: ShardOptions, groups: ProductGroups | None, *, labelled: bool
) -> Table:
    rows = sort_by(rows, 'product_id', 'index')
    if not labelled:
        rows['split'] = rules.PREDICT
        return rows
    first = runs.starts(rows['product_id'])
    if len(first):
        splits = rows['split'][first] - 1  # those that the source determines
        free = rows['split'][first] == 0
        if free.any():
            splits[free] = _product_splits(rows['product_id'][first][free], options, groups)
        rows['split'] = splits[runs.numbers(first, len(rows))]
    return rows


def _product_splits(
    product_ids: npt.NDArray[np.int64], options: ShardOptions, groups: ProductGroups | None
) -> npt.NDArray[np.uint8]:
    """Returns the split of each product of a class, uint8 [products]."""
    rule = split_rule(options)
    own_rule = rules.hash_splits if options.split_by == 'hash' else rules.product_splits
    if groups is None:
        return own_rule(product_ids, **rule)
    splits = np.empty(len(product_ids), np.uint8)
    grouped, found = groups.find(product_ids)
    splits[grouped] = rules.hash_splits(found, **rule)
    if not grouped.all():
        splits[~grouped] = own_rule(product_ids[~grouped], **rule)
    return splits


def _limit(rows: Table, options: ShardOptions, counts: Counts) -> Table:
    """Keeps at most `max_per_class` train products, the first ones by hash."""
    train = rows['split'] == rules.TRAIN
    ids = np.unique(rows['product_id'][train])
    if not options.max_per_class or len(ids) <= options.max_per_class:
        return rows
    order = rules.rank_products(ids, salt='limit', seed=options.seed)
    dropped = train & np.isin(rows['product_id'], ids[order[options.max_per_class :]])
    counts.documents['dropped_max_per_class'] += len(ids) - options.max_per_class
    counts.pictures['dropped_max_per_class'] += int(dropped.sum())
    return rows[~dropped]


def build_layout(parts: Iterable[npt.NDArray[np.void]], options: ShardOptions) -> Layout:
    """Determines the numbers of shards and records from the counts of all classes.

    Args:
      parts: Rows of CLASS_COUNT.
      options: Options of the data set.

    Raises:
      UserError: If no products are left, or `shards` exceeds the number of records.
    """
    counts = np.sort(np.concatenate([*parts, np.zeros(0, CLASS_COUNT)]), order=['split', 'key'])
    units, total_bytes = {}, {}
    for split, rows in runs.groups(counts, counts['split']):
        wanted = rows['units']
        if split == rules.TRAIN:
            wanted = rules.target_records(
                wanted, power=options.balance_power, max_copies=options.max_copies
            )
        keys = rows['key'].tolist()
        units[SPLITS[split]] = dict(zip(keys, wanted.tolist(), strict=True))
        total_bytes[SPLITS[split]] = float((rows['bytes'] * (wanted / rows['units'])).sum())
    main = 'predict' if options.unlabelled else 'train'
    if main not in units and units:
        raise UserError(
            f'--input: must have a product in {main}, but all are in {" and ".join(units)}; lower '
            'the fractions of these, or use another --seed'
        )
    if main not in units:
        raise UserError('--input: must contain at least one usable product, got none')
    shard_mb = options.shard_mb
    if options.shards:
        shard_mb = max(total_bytes[main], 1) / options.shards / 1e6
        total = sum(units[main].values())
        if options.shards > total:
            raise UserError(
                f'--shards: must not exceed the {total} records of {main}, got {options.shards}'
            )
    shards = {
        split: rules.shard_count(
            total_bytes=total_bytes[split], records=sum(by_class.values()), shard_mb=shard_mb
        )
        for split, by_class in units.items()
    }
    if options.shards:
        shards[main] = options.shards
    return Layout(shards=shards, units=units, counts=counts)


def deal_classes(table: Table, layout: Layout, options: ShardOptions) -> Table:
    """Deals the records of complete classes and their copies to shards.

    A product's rows get the same copies and shards, unless they are dealt singly.
    """
    dealt = []
    for key, class_rows in runs.groups(table, class_keys(table, seed=options.seed)):
        for split, rows in runs.groups(class_rows, class_rows['split']):
            records = layout.units[SPLITS[split]][key]
            shards = layout.shards[SPLITS[split]]
            dealt.append(_deal_split(rows, options, key=key, records=records, shards=shards))
    return join(dealt)


def order_shard(rows: Table, split: int, options: ShardOptions) -> tuple[Table, int]:
    """Returns the rows of a shard in the order of writing, and their number of units."""
    unit_names = (*_unit_names(split, options), 'copy')
    place = rules.hash_rows(*(rows[name] for name in unit_names), salt='place', seed=options.seed)
    rows = rows.take(np.lexsort([rows['index'], rows['copy'], rows['product_id'], place]))
    return rows, len(runs.starts(*(rows[name] for name in unit_names)))


def _dealt_singly(split: int, options: ShardOptions) -> bool:
    """Returns whether pictures are dealt singly: in train, where a record contains one picture.

    Held-out products stay together, so that one pass can classify a product by all its views.
    """
    return options.record == 'image' and split == rules.TRAIN


def _unit_names(split: int, options: ShardOptions) -> tuple[str, ...]:
    """Returns the columns that identify a unit, which is copied and dealt as one."""
    return ('product_id', 'index') if _dealt_singly(split, options) else ('product_id',)


def _deal_split(
    rows: Table, options: ShardOptions, *, key: int, records: int, shards: int
) -> Table:
    rows = sort_by(rows, 'product_id', 'index')
    unit_names = _unit_names(int(rows['split'][0]), options)
    first = runs.starts(*(rows[name] for name in unit_names))
    unit_ids = [rows[name][first] for name in unit_names]
    times = rules.copy_counts(unit_ids, records, seed=options.seed)

    # One record per unit and copy, the copies of a unit one after another.
    unit = np.repeat(np.arange(len(first)), times)
    copy = np.arange(records) - np.repeat(np.cumsum(times) - times, times)
    class_hash = rules.hash_rows(np.array([key, rows['split'][0]]), salt='class', seed=options.seed)
    shard = rules.record_shards(
        records, shards=shards, copies=int(times.max()), offset=int(class_hash[0] >> 8)
    )

    # The rows of every record are those of its unit.
    sizes = np.diff([*first, len(rows)])[unit]
    record = np.repeat(np.arange(records), sizes)
    within = np.arange(len(record)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    written = rows.take(first[unit][record] + within)
    written['copy'] = copy[record]
    written['shard'] = shard[record]
    return written
