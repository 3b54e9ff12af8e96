"""Examples that are products: their views in one padded tensor with a mask."""

import tensorflow as tf

from trainer.data import sources
from trainer.data.examples import ExampleSpec
from trainer.data.pictures import Decode
from trainer.data.sources import Columns


def group(records: Columns, *, max_views: int) -> Columns:
    """Pads or cuts the views of each record: `encoded` ragged -> [R, max_views]."""
    return {**records, 'encoded': records['encoded'].to_tensor(shape=[None, max_views])}


def batch(products: Columns, decode: Decode, *, example: ExampleSpec) -> Columns:
    """Decodes products to what a step takes.

    A product with fewer than V = `max_views` views has a mask of False in the places that remain.
    These repeat its own views in turn, so that batch normalization under XLA, which computes all
    places, sees real images only. Undecodable views are left out; a product without a decodable one
    has no label (`sources.UNLABELLED`), and one white view.

    Returns:
      `image` uint8 [b, V, H, W, 3], or of a feature cache `features` float32 [b, V, d]; `mask` bool
      [b, V]; `label` int64 [b]; `undecodable` int64 [b], the number of its undecodable views.
    """
    encoded = products['encoded']
    given = encoded != tf.zeros([], encoded.dtype)  # [b, V]
    views, decodable = decode(encoded[given])  # the views of all products in turn
    rows = tf.where(given)
    decoded = tf.scatter_nd(rows, tf.cast(decodable, tf.int32), tf.shape(given, tf.int64))  # [b, V]
    counts = tf.reduce_sum(decoded, axis=1)  # [b]
    first = tf.range(given.shape[1]) == 0  # the place of a product without a decodable view
    used = tf.cast(decoded, tf.bool) | (counts == 0)[:, tf.newaxis] & first
    kept = tf.where(used[given])[:, 0]
    mask = tf.sequence_mask(tf.maximum(counts, 1), given.shape[1])
    return {
        example.column: tf.gather(views, tf.gather(kept, _view_rows(mask))),
        'mask': mask,
        'label': tf.where(counts > 0, products['label'], sources.UNLABELLED),
        'undecodable': tf.cast(tf.reduce_sum(tf.cast(given, tf.int32), 1) - counts, tf.int64),
    }


def _view_rows(mask: tf.Tensor) -> tf.Tensor:
    """Returns which of all real views fills each place: bool [b, V] -> int32 [b, V]."""
    counts = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1, keepdims=True)
    starts = tf.cumsum(counts, exclusive=True)
    return starts + tf.range(mask.shape[1]) % counts
