"""In which order the records of an epoch are read, and where that order resumes. Reads no file.

An epoch reads the shards in a shuffled order, 16 at a time: a *group*. A group gives one record of
each of its shards in turn; a shard that has no more is passed over. Counts of records are in the
manifest, so what comes after any number of records is computed, and only that is read.

Each of several streams (`streams`) reads an equal part of an epoch, in a row of this order: no two
of them differ by more than one record, and together they read each record once.
"""

from dataclasses import dataclass

import tensorflow as tf

OPEN_SHARDS = 16


@dataclass(frozen=True)
class Pieces:
    """What is left of an epoch: S pieces of shards in G groups, as tensors int64 [G, 16].

    Attributes:
      shard: Index of the shard.
      first: The first record to read.
      end: The record after the last one; equal to `first` for a place without records.
    """

    shard: tf.Tensor
    first: tf.Tensor
    end: tf.Tensor


def shuffled(records: tf.Tensor, *, seed: tf.Tensor, part: tuple[int, int]) -> Pieces:
    """Returns the pieces of an epoch.

    Args:
      records: Records of each shard, int64 [S].
      seed: Seed of the order, int64 [2].
      part: Index of the part that is read, and the number of parts.
    """
    index, parts = part
    shards = tf.range(tf.size(records, tf.int64))
    order = tf.random.experimental.stateless_shuffle(shards, seed)
    counts = tf.gather(records, order)
    starts = tf.cumsum(counts, exclusive=True)
    total = tf.reduce_sum(counts)
    first = tf.clip_by_value(index * total // parts - starts, 0, counts)
    end = tf.clip_by_value((index + 1) * total // parts - starts, 0, counts)
    read = end > first
    missing = -tf.math.count_nonzero(read) % OPEN_SHARDS
    return Pieces(
        *(
            tf.reshape(tf.pad(column[read], [[0, missing]]), [-1, OPEN_SHARDS])
            for column in (order, first, end)
        )
    )


def after(pieces: Pieces, records: tf.Tensor) -> Pieces:
    """Returns what is left after so many records, int64 [], have been read."""
    counts = pieces.end - pieces.first  # [G, 16]
    totals = tf.reduce_sum(counts, axis=1)
    read = tf.clip_by_value(records - tf.cumsum(totals, exclusive=True), 0, totals)[:, tf.newaxis]
    rounds = _complete_rounds(counts, read)  # [G, 1]
    left = read - tf.reduce_sum(tf.minimum(counts, rounds), axis=1, keepdims=True)
    in_next_round = tf.cast(counts > rounds, tf.int64)
    is_ahead = (in_next_round > 0) & (tf.cumsum(in_next_round, axis=1) <= left)
    first = pieces.first + tf.minimum(counts, rounds) + tf.cast(is_ahead, tf.int64)
    # Those that gave a record in the round that is not complete have their next turn after it.
    turns = tf.argsort(tf.cast(is_ahead, tf.int32), axis=1, stable=True)
    unread = totals > read[:, 0]
    return Pieces(
        *(
            tf.gather(column, turns, batch_dims=1)[unread]
            for column in (pieces.shard, first, pieces.end)
        )
    )


def _complete_rounds(counts: tf.Tensor, read: tf.Tensor) -> tf.Tensor:
    """Returns how many rounds of a group are complete: [G, 16], [G, 1] -> [G, 1]."""
    ascending = tf.sort(counts, axis=1)
    before = tf.cumsum(ascending, axis=1, exclusive=True)
    others = tf.range(OPEN_SHARDS, 0, -1, dtype=tf.int64)  # shards as long or longer
    exhausted = tf.math.count_nonzero(before + ascending * others <= read, axis=1, keepdims=True)
    exhausted = tf.minimum(exhausted, OPEN_SHARDS - 1)
    read_of_others = read - tf.gather(before, exhausted, batch_dims=1)
    return read_of_others // tf.gather(others, exhausted)
