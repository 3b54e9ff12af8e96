"""The rules for splits, copies, shards and order. Pure functions: no Beam, no files.

Everything follows from product ids, class counts and the seed, never from where or in which order
the input was read. Ranks come from SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195).
"""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

TRAIN, VALIDATION, TEST, PREDICT = range(4)  # indices in catalog.shards.SPLITS


def hash_rows(*columns: npt.NDArray[np.generic], salt: str, seed: int) -> UInt64s:
    """Returns a hash of each row of integers, uint64 [rows], which depends on salt and seed."""
    state = np.full(len(columns[0]), (zlib.crc32(salt.encode()) << 32) ^ (seed % 2**64), np.uint64)
    with np.errstate(over='ignore'):
        for column in columns:
            state = (state ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
    return state


def rank_products(product_ids: Int64s, *, salt: str, seed: int) -> Int64s:
    """Returns the positions of the products in the order of their hashes, int64 [products]."""
    order: Int64s = np.lexsort([product_ids, hash_rows(product_ids, salt=salt, seed=seed)])
    return order


def split_sizes(
    products: int, *, validation_fraction: float, test_fraction: float
) -> tuple[int, int, int]:
    """Returns how many of a class's products go to train, validation and test.

    Fractions are rounded to the nearest product. A requested split gets at least one product if
    there are enough for all splits before it: train first, then validation, then test.
    """
    left = products - 1  # train keeps one
    held_out = []
    for fraction in (validation_fraction, test_fraction):
        wanted = max(round(products * fraction), 1) if fraction else 0
        held_out.append(max(min(wanted, left), 0))
        left -= held_out[-1]
    # Rounding up in small classes must not take test's last product.
    if test_fraction and not held_out[1] and held_out[0] > 1:
        held_out = [held_out[0] - 1, 1]
    return products - sum(held_out), held_out[0], held_out[1]


def product_splits(
    product_ids: Int64s, *, validation_fraction: float, test_fraction: float, seed: int
) -> npt.NDArray[np.uint8]:
    """Returns the split of each distinct product of one class, uint8 [products]."""
    _, validation, test = split_sizes(
        len(product_ids), validation_fraction=validation_fraction, test_fraction=test_fraction
    )
    order = rank_products(product_ids, salt='split', seed=seed)
    splits = np.full(len(product_ids), TRAIN, np.uint8)
    splits[order[:validation]] = VALIDATION
    splits[order[validation : validation + test]] = TEST
    return splits


def hash_splits(
    keys: Int64s, *, validation_fraction: float, test_fraction: float, seed: int
) -> npt.NDArray[np.uint8]:
    """Returns the split of each key, a product or a group, uint8 [keys].

    The hash of a key is a number in [0, 1). The lowest numbers are in validation and the highest in
    test. So a key keeps its split whatever other keys there are, and another fraction of one split
    does not change the other.
    """
    number = (hash_rows(keys, salt='split', seed=seed) >> np.uint64(11)) / 2.0**53
    splits = np.full(len(keys), TRAIN, np.uint8)
    splits[number < validation_fraction] = VALIDATION
    splits[number >= 1 - test_fraction] = TEST
    return splits


def target_records(counts: Int64s, *, power: float, max_copies: int) -> Int64s:
    """Returns how many train records each class gets, int64 [classes], from how many it has.

    The largest class is written once. The others follow count^power, rounded to the nearest, but
    are written at least once and at most `max_copies` times.
    """
    largest = max(int(counts.max(initial=0)), 1)
    with np.errstate(divide='ignore'):
        wanted = np.rint(largest * (counts / largest) ** power)
    wanted = np.where(counts > 0, wanted, 0).astype(np.int64)
    return np.clip(wanted, counts, counts * max_copies)


def copy_counts(unit_ids: Sequence[npt.NDArray[np.generic]], records: int, *, seed: int) -> Int64s:
    """Returns how often each unit of a class is written, int64 [units]: `records` in total.

    A unit is a product, or a picture where a record contains one; `unit_ids` are its key columns.
    All units get the same number of copies, and the first ones by hash one more.
    """
    units = len(unit_ids[0])
    each, extra = divmod(records, units)
    times = np.full(units, each, np.int64)
    times[np.argsort(hash_rows(*unit_ids, salt='copies', seed=seed), kind='stable')[:extra]] += 1
    return times


def shard_count(*, total_bytes: float, records: int, shard_mb: float) -> int:
    """Returns the number of shards of about `shard_mb` MB (10^6 bytes), from 1 to `records`."""
    return max(1, min(round(total_bytes / (shard_mb * 1e6)), records))


def record_shards(records: int, *, shards: int, copies: int, offset: int) -> Int64s:
    """Returns the shard of each record of one class, int64 [records], in product order.

    The numbers of records in any two shards differ by at most one. Up to `copies` neighbours go to
    different shards if there are that many shards. Products that are near each other in the order
    go to shards that are near each other, so that a shard is read from one part of a source that is
    in this order.

    Shards form bands of `copies` shards. A band takes consecutive records, in proportion to its
    number of shards, and deals them to its shards in turn. So without copies, each shard takes
    consecutive records.

    Args:
      records: Number of records of this class.
      shards: Number of shards of this split.
      copies: Largest number of records of one product or picture, which go to different shards.
      offset: Any 64-bit number, different for each class, so that the extra records of many classes
        do not go to the same shards.
    """
    bands = max(shards // copies, 1)
    band_start = np.append(np.arange(bands) * copies, shards)
    # floor(records * start / shards + shift / 2^16), exactly.
    shift = offset & 0xFFFF
    first = (records * band_start * 65536 + shift * shards) // (shards * 65536)
    record = np.arange(records)
    band = np.searchsorted(first, record, side='right') - 1
    turn = (record - first[band] + (offset >> 16) % (1 << 40)) % np.diff(band_start)[band]
    return band_start[band] + turn
