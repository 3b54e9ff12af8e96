"""Finds pictures in shards by their bytes.

A batch does not know where its pictures come from: what names an undecodable one costs nothing
until there is one.
"""

import os
from collections.abc import Iterable, Sequence

import tensorflow as tf

from catalog import product_key, record
from trainer.undecodable.place import Place

_RECORDS = 1024  # parsed at a time
_BUCKETS = (1 << 63) - 1  # of a picture's hash


def find_places(shards: Sequence[str], pictures: Iterable[bytes]) -> list[Place]:
    """Reads shards in order and returns all places of some pictures.

    The copies of an oversampled product are one place: that in the first shard.

    Args:
      shards: Paths of shard files, all compressed or none.
      pictures: Encoded pictures.
    """
    wanted = set(pictures)
    if not wanted:
        return []
    hashes = _hash(tf.constant(sorted(wanted)))
    found: dict[tuple[int, int], Place] = {}
    for shard in shards:
        for encoded, product_id, index, key in _candidates(shard, hashes):
            if encoded in wanted:
                place = Place(shard, product_id, index, product_key.decode(key))
                found.setdefault((product_id, index), place)
    return list(found.values())


def _hash(pictures: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(pictures, _BUCKETS)


def _candidates(shard: str, hashes: tf.Tensor) -> Iterable[tuple[bytes, int, int, bytes]]:
    """Yields bytes, product id, index and key of the pictures with one of the hashes."""
    features = {
        record.ENCODED: tf.io.RaggedFeature(tf.string),
        record.INDEX: tf.io.RaggedFeature(tf.int64),
        record.PRODUCT_ID: tf.io.FixedLenFeature([], tf.int64),
        record.PRODUCT_KEY: tf.io.FixedLenFeature([], tf.string, default_value=''),
    }

    def select(serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parsed = tf.io.parse_example(serialized, features)
        encoded = parsed[record.ENCODED]
        views = encoded.row_lengths()
        product_id = tf.repeat(parsed[record.PRODUCT_ID], views)
        key = tf.repeat(parsed[record.PRODUCT_KEY], views)
        same = _hash(encoded.flat_values)[:, tf.newaxis] == hashes[tf.newaxis]
        columns = (encoded.flat_values, product_id, parsed[record.INDEX].flat_values, key)
        kept = tf.reduce_any(same, axis=1)
        return tuple(tf.boolean_mask(column, kept) for column in columns)

    compression = 'GZIP' if shard.endswith('.gz') else ''
    records = tf.data.TFRecordDataset(shard, compression_type=compression).batch(_RECORDS)
    blocks = records.map(select, num_parallel_calls=len(os.sched_getaffinity(0)))
    for block in blocks.as_numpy_iterator():
        yield from zip(*(column.tolist() for column in block), strict=True)
