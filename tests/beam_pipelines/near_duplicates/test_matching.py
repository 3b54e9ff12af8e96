"""Pairs of near hashes are found exactly, and products connected by them form groups."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.near_duplicates import matching
from beam_pipelines.near_duplicates.matching import MAX_BITS, MAX_TONE
from beam_pipelines.near_duplicates.visual_hash import BANDS, HASH


def random_hashes(count: int, seed: int) -> np.ndarray:
    return np.frombuffer(np.random.default_rng(seed).bytes(count * HASH.itemsize), HASH).copy()


def flip(hashes: np.ndarray, bits: list[int]) -> np.ndarray:
    """Returns hashes of which some of the 96 bits are inverted."""
    changed = hashes.copy()
    for bit in bits:
        if bit < 64:
            changed['visual_high'] ^= np.uint64(1 << bit)
        else:
            changed['visual_low'] ^= np.uint32(1 << (bit - 64))
    return changed


def found(held_out: np.ndarray, train: np.ndarray) -> np.ndarray:
    return np.any([matching.find_copies(held_out, train, band) for band in range(BANDS)], axis=0)


@given(st.sets(st.integers(0, 95), max_size=9), st.integers(0, 2**32))
def test_exactly_the_hashes_within_the_distance_are_found(bits: set[int], seed: int) -> None:
    train = random_hashes(20, seed)
    held_out = flip(train[:5], sorted(bits))
    assert (found(held_out, train) == (len(bits) <= MAX_BITS)).all()


def test_hashes_of_another_tone_are_not_near() -> None:
    train = random_hashes(1, 0)
    train['tone'] = 0x40404040
    for difference, near in ((MAX_TONE, True), (MAX_TONE + 1, False)):
        for byte in range(4):
            other = train.copy()
            other['tone'] += np.uint32(difference << 8 * byte)
            assert matching.are_near(train, other).all() == near
            assert found(other, train).all() == near


def test_repeated_hashes_are_all_found() -> None:
    train = np.repeat(random_hashes(3, 1), 4)
    held_out = np.concatenate([flip(train[:8], [3, 70]), random_hashes(2, 2)])
    assert found(held_out, train).tolist() == [True] * 8 + [False] * 2
    assert not found(held_out, train[:0]).any()
    assert not len(found(held_out[:0], train))


def test_links_connect_products_with_equal_or_near_hashes() -> None:
    one, other = random_hashes(2, 3)[:, None]
    hashes = np.concatenate([one, one, flip(one, [0, 50]), other, other])
    ids = np.array([30, 10, 20, 40, 40])
    links = np.concatenate([matching.link_products(ids, hashes, band) for band in range(BANDS)])
    products, groups = matching.group_products(links)
    assert products.tolist() == [10, 20, 30]
    assert groups.tolist() == [10, 10, 10]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_groups_are_the_connected_products(links: list[tuple[int, int]]) -> None:
    wanted = {product: {product} for link in links for product in link}
    for left, right in links:
        joined = wanted[left] | wanted[right]
        for product in joined:
            wanted[product] = joined
    products, groups = matching.group_products(np.array(links, np.int64).reshape(-1, 2))
    assert dict(zip(products.tolist(), groups.tolist(), strict=True)) == {
        product: min(joined) for product, joined in wanted.items()
    }
