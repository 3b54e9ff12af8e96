"""The order of an epoch, against the same order written as a plain loop."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest
import tensorflow as tf

from trainer.epochs import reading_order

_COUNTS = {
    'one group': [3, 1, 4],
    'equal shards': [5] * 16,
    'several groups': [(7 * i) % 5 + 1 for i in range(37)],
    'empty shards': [0, 3, 0, 2, 0],
}


def _records(pieces: reading_order.Pieces) -> list[tuple[int, int]]:
    """Reads pieces in turn, as shard and record."""
    read = []
    columns = (column.numpy() for column in (pieces.shard, pieces.first, pieces.end))
    for shards, starts, ends in zip(*columns, strict=True):
        for turn in range(max(ends - starts, default=0)):
            read += [
                (int(shard), int(first + turn))
                for shard, first, end in zip(shards, starts, ends, strict=True)
                if first + turn < end
            ]
    return read


def _shuffled(counts: list[int], *, seed: int = 0, part: tuple[int, int] = (0, 1)):
    records = tf.constant(counts, tf.int64)
    return reading_order.shuffled(records, seed=tf.constant([seed, 0], tf.int64), part=part)


@pytest.mark.parametrize('counts', _COUNTS.values(), ids=_COUNTS.keys())
def test_an_epoch_has_each_record_once_and_resumes_after_any_of_them(counts: list[int]) -> None:
    pieces = _shuffled(counts)
    records = _records(pieces)
    assert sorted(records) == [(s, r) for s, count in enumerate(counts) for r in range(count)]
    for read in range(len(records) + 1):
        left = reading_order.after(pieces, tf.constant(read, tf.int64))
        assert _records(left) == records[read:]


def test_resuming_opens_only_the_shards_of_its_group() -> None:
    pieces = _shuffled([10] * 48)
    left = reading_order.after(pieces, tf.constant(10 * 16 + 5, tf.int64))
    assert left.shard.shape == (2, 16)
    np.testing.assert_array_equal(left.first, [[0] * 11 + [1] * 5, [0] * 16])


def test_seeds_give_other_orders() -> None:
    first, second = (_records(_shuffled([5] * 8, seed=seed)) for seed in (1, 2))
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize('parts', [1, 3, 10])
def test_parts_are_equal_and_together_the_epoch(parts: int) -> None:
    counts = _COUNTS['several groups']
    records = [_records(_shuffled(counts, part=(part, parts))) for part in range(parts)]
    assert max(map(len, records)) - min(map(len, records)) <= 1
    assert Counter(chain(*records)) == Counter(_records(_shuffled(counts)))
    shards = [{shard for shard, _ in part} for part in records]
    assert all(len(one & other) <= 1 for one, other in pairwise(shards))
