"""Examples that are products: their views in one padded tensor with a mask."""

import tensorflow as tf

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
    places, sees real images only.

    Returns:
      `image` uint8 [b, V, H, W, 3], or of a feature cache `features` float32 [b, V, d]; `mask` bool
      [b, V]; `label` int64 [b].
    """
    encoded = products['encoded']
    mask = encoded != tf.zeros([], encoded.dtype)  # [b, V]
    views = decode(encoded[mask])  # the real views of all products in turn
    return {
        example.column: tf.gather(views, _view_rows(mask)),
        'mask': mask,
        'label': products['label'],
    }


def _view_rows(mask: tf.Tensor) -> tf.Tensor:
    """Returns which of all real views fills each place: bool [b, V] -> int32 [b, V]."""
    counts = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1, keepdims=True)
    starts = tf.cumsum(counts, exclusive=True)
    return starts + tf.range(mask.shape[1]) % counts
