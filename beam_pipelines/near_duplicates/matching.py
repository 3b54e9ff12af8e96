"""Finds the pairs of hashes that differ in few bits. Pure: knows no Beam, reads no file.

Two hashes that differ in fewer bits than there are bands are equal in one band at least. So the
pairs are found among the hashes that have equal bits in a band: exactly, and without comparing all.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from beam_pipelines.near_duplicates.visual_hash import BAND_BITS, BANDS, HASH

MAX_BITS = BANDS - 1  # near hashes differ in at most so many of 96 bits,
MAX_TONE = 8  # and their means and contrasts by at most so much of 255

_CHUNK = 1 << 20  # pairs that are compared at once

Int64s = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.void]  # rows with the columns of HASH


def band_values(hashes: Hashes, band: int) -> Int64s:
    """Returns the bits of a band, int64 [hashes]."""
    per_word = 64 // BAND_BITS
    word = hashes['visual_high'] if band < per_word else hashes['visual_low'].astype(np.uint64)
    shift = np.uint64(band % per_word * BAND_BITS)
    return ((word >> shift) & np.uint64((1 << BAND_BITS) - 1)).astype(np.int64)


def are_near(left: Hashes, right: Hashes) -> npt.NDArray[np.bool_]:
    """Returns whether the hashes are near, row by row, bool [hashes]."""
    bits = np.bitwise_count(left['visual_high'] ^ right['visual_high']) + np.bitwise_count(
        left['visual_low'] ^ right['visual_low']
    )
    near: npt.NDArray[np.bool_] = bits <= MAX_BITS
    for shift in np.arange(0, 32, 8, dtype=np.uint32):
        tones = [
            ((side['tone'] >> shift) & np.uint32(0xFF)).astype(np.int16) for side in (left, right)
        ]
        near &= np.abs(tones[0] - tones[1]) <= MAX_TONE
    return near


def near_pairs(left: Hashes, right: Hashes, band: int) -> Iterator[tuple[Int64s, Int64s]]:
    """Yields the pairs of near hashes with equal bits in a band: numbers in left and in right."""
    right_values = band_values(right, band)
    order = np.argsort(right_values, kind='stable')
    right_values, right = right_values[order], right[order]
    values = band_values(left, band)
    first = np.searchsorted(right_values, values, side='left')
    counts = np.searchsorted(right_values, values, side='right') - first
    ends = np.cumsum(counts)
    for start in range(0, int(ends[-1]) if len(ends) else 0, _CHUNK):
        pair = np.arange(start, min(start + _CHUNK, int(ends[-1])))
        number = np.searchsorted(ends, pair, side='right')
        other = first[number] + pair - (ends[number] - counts[number])
        near = are_near(left[number], right[other])
        yield number[near], order[other[near]]


def find_copies(held_out: Hashes, train: Hashes, band: int) -> npt.NDArray[np.bool_]:
    """Returns which held-out hashes are near one of train with equal bits in a band."""
    distinct, number = _distinct(held_out)
    found = np.zeros(len(distinct), bool)
    for copies, _ in near_pairs(distinct, _distinct(train)[0], band):
        found[copies] = True
    return found[number]


def link_products(product_ids: Int64s, hashes: Hashes, band: int) -> Int64s:
    """Returns pairs of products that near hashes with equal bits in a band connect, int64 [N, 2].

    Not all pairs, but enough to connect all of them. A product is not connected to itself.
    """
    distinct, number = _distinct(hashes)
    first = np.zeros(len(distinct), np.int64)  # a product of each hash
    first[number[::-1]] = product_ids[::-1]
    links = [np.stack([product_ids, first[number]], axis=1)]  # equal hashes
    for left, right in near_pairs(distinct, distinct, band):
        ahead = left < right
        links.append(np.stack([first[left[ahead]], first[right[ahead]]], axis=1))
    pairs = np.sort(np.concatenate(links), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def group_products(links: Int64s) -> tuple[Int64s, Int64s]:
    """Returns the products of all links, ascending, and the smallest product connected to each."""
    products, ends = np.unique(links, return_inverse=True)
    left, right = ends.reshape(-1, 2).T
    group = np.arange(len(products))
    while not np.array_equal(group[left], group[right]):
        # The larger of two linked groups joins the smaller one, and so do all of its products.
        one, other = group[left], group[right]
        np.minimum.at(group, one, other)
        np.minimum.at(group, other, one)
        while not np.array_equal(group[group], group):
            group = group[group]
    return products, products[group]


def _distinct(hashes: Hashes) -> tuple[Hashes, Int64s]:
    """Returns the distinct hashes, HASH, and the number of each row's."""
    only = np.zeros(len(hashes), HASH)
    for name in HASH.names or ():
        only[name] = hashes[name]
    order = np.lexsort([only[name] for name in HASH.names or ()])
    only = only.take(order)
    changed = np.zeros(len(only), bool)
    changed[1:] = only[1:] != only[:-1]
    number = np.empty(len(only), np.int64)
    number[order] = np.cumsum(changed)
    changed[:1] = True
    return only[changed], number
