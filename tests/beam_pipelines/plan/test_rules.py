"""What the rules guarantee for any counts."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.plan import rules

counts = st.integers(1, 400)
fractions = st.floats(0, 0.45)
seeds = st.integers(-(2**63), 2**64)


@pytest.mark.parametrize(
    ('products', 'expected'),
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (10, (7, 1, 2)), (100, (70, 10, 20))],
)
def test_every_split_gets_a_product_if_there_are_enough(
    products: int, expected: tuple[int, int, int]
) -> None:
    sizes = rules.split_sizes(products, validation_fraction=0.1, test_fraction=0.2)
    assert sizes == expected


@given(products=counts, validation=fractions, test=fractions)
def test_every_product_is_in_one_split(products: int, validation: float, test: float) -> None:
    sizes = rules.split_sizes(products, validation_fraction=validation, test_fraction=test)
    assert sum(sizes) == products
    assert sizes[0] >= 1
    assert all(size >= 0 for size in sizes)
    assert (sizes[1] > 0) == (validation > 0 and products >= 2)


@given(products=counts, seed=seeds)
def test_the_split_of_a_product_does_not_depend_on_the_order_of_the_others(
    products: int, seed: int
) -> None:
    ids = np.arange(products) * 7 + 3
    order = np.random.default_rng(0).permutation(products)
    options = {'validation_fraction': 0.3, 'test_fraction': 0.1, 'seed': seed}
    splits = rules.product_splits(ids, **options)
    assert (rules.product_splits(ids[order], **options) == splits[order]).all()


def test_another_seed_gives_another_split() -> None:
    ids = np.arange(1000)
    first, second = (
        rules.product_splits(ids, validation_fraction=0.5, test_fraction=0, seed=seed)
        for seed in (0, 1)
    )
    assert 0.4 < (first == second).mean() < 0.6


def test_hash_splits_have_the_fractions_on_average() -> None:
    splits = rules.hash_splits(
        np.arange(100_000), validation_fraction=0.1, test_fraction=0.2, seed=1
    )
    assert np.bincount(splits) / len(splits) == pytest.approx([0.7, 0.1, 0.2], abs=0.005)


@given(ids=st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1), seed=seeds)
def test_the_hash_split_of_a_product_does_not_depend_on_others(ids: set[int], seed: int) -> None:
    options = {'validation_fraction': 0.3, 'test_fraction': 0.2, 'seed': seed}
    together = rules.hash_splits(np.array(sorted(ids)), **options)
    for product_id, split in zip(sorted(ids), together.tolist(), strict=True):
        assert rules.hash_splits(np.array([product_id]), **options).tolist() == [split]


def test_a_larger_fraction_moves_products_only_from_train() -> None:
    ids = np.arange(1000)
    small = rules.hash_splits(ids, validation_fraction=0.1, test_fraction=0.1, seed=0)
    large = rules.hash_splits(ids, validation_fraction=0.2, test_fraction=0.1, seed=0)
    assert set(small[small != large]) == {rules.TRAIN}
    assert set(large[small != large]) == {rules.VALIDATION}


@pytest.mark.parametrize(
    ('power', 'max_copies', 'expected'),
    [
        (1.0, 4, [100, 25, 4, 0]),
        (0.5, 4, [100, 50, 16, 0]),
        (0.5, 10, [100, 50, 20, 0]),
        (0.0, 4, [100, 100, 16, 0]),
        (0.0, 100, [100, 100, 100, 0]),
        (0.0, 1, [100, 25, 4, 0]),
    ],
)
def test_records_follow_the_power_of_the_count_up_to_max_copies(
    power: float, max_copies: int, expected: list[int]
) -> None:
    found = rules.target_records(np.array([100, 25, 4, 0]), power=power, max_copies=max_copies)
    assert found.tolist() == expected


@given(units=counts, extra=st.integers(0, 1200), seed=seeds)
def test_copy_counts_differ_by_at_most_one(units: int, extra: int, seed: int) -> None:
    times = rules.copy_counts([np.arange(units)], units + extra, seed=seed)
    assert times.sum() == units + extra
    assert times.max() - times.min() <= 1


@given(
    records=st.integers(1, 2000),
    shards=st.integers(1, 300),
    copies=st.integers(1, 9),
    offset=st.integers(0, 2**56 - 1),
)
def test_any_two_shards_differ_by_at_most_one_record_of_a_class(
    records: int, shards: int, copies: int, offset: int
) -> None:
    shard = rules.record_shards(records, shards=shards, copies=copies, offset=offset)
    of_shard = np.bincount(shard, minlength=shards)
    assert len(of_shard) == shards
    assert of_shard.max() - of_shard.min() <= 1


@given(
    units=st.integers(1, 200),
    each=st.integers(1, 8),
    shards=st.integers(1, 100),
    offset=st.integers(0, 2**56 - 1),
)
def test_copies_of_a_product_go_to_different_shards_if_there_are_enough(
    units: int, each: int, shards: int, offset: int
) -> None:
    shard = rules.record_shards(units * each, shards=shards, copies=each, offset=offset)
    for of_product in shard.reshape(units, each):
        assert len(set(of_product)) == min(each, shards) or shards < each


def test_neighbouring_products_go_to_neighbouring_shards() -> None:
    expected = np.arange(10_000) * 100 / 10_000
    for copies in (4, 1):
        shard = rules.record_shards(10_000, shards=100, copies=copies, offset=12345)
        assert np.abs(shard - expected).max() <= copies


def test_small_classes_are_spread_over_the_shards() -> None:
    offsets = rules.hash_rows(np.arange(2000), salt='class', seed=0) >> np.uint64(8)
    shards = [
        rules.record_shards(1, shards=50, copies=4, offset=int(offset))[0] for offset in offsets
    ]
    of_shard = np.bincount(shards, minlength=50)
    # 40 are expected; the standard deviation of a fair draw is 6.3.
    assert of_shard.min() >= 10
    assert of_shard.max() <= 75


def test_the_hash_of_a_product_never_changes() -> None:
    # Splits and shards of published data sets depend on it: a change needs a new schema version.
    hashes = rules.hash_rows(np.array([0, 1, -1, 2**40]), salt='split', seed=7)
    assert hashes.tolist() == [splitmix(value, salt='split', seed=7) for value in (0, 1, -1, 2**40)]


def splitmix(value: int, *, salt: str, seed: int) -> int:
    """The same hash in plain integers."""
    mask = 2**64 - 1
    state = (zlib.crc32(salt.encode()) << 32 ^ seed) & mask
    state = ((state ^ (value & mask)) + 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


@pytest.mark.parametrize(
    ('total_mb', 'records', 'expected'), [(1000, 10_000, 8), (1, 10, 1), (10_000, 5, 5)]
)
def test_shards_have_the_requested_size(total_mb: float, records: int, expected: int) -> None:
    found = rules.shard_count(total_bytes=total_mb * 1e6, records=records, shard_mb=128)
    assert found == expected
