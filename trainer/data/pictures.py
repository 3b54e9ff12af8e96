"""Examples that are pictures: records to pictures, pictures to batches."""

from collections.abc import Callable

import tensorflow as tf

from catalog import record
from trainer.config import InputConfig
from trainer.data import sources
from trainer.data.preprocess import Decoded
from trainer.data.sources import Columns

Decode = Callable[[tf.Tensor], Decoded]


def group(records: Columns) -> Columns:
    """Splits records into pictures: columns [R] -> tensors [P], P the sum of their views."""
    views = records['encoded'].row_lengths()
    return {
        'encoded': records['encoded'].flat_values,
        'label': tf.repeat(records['label'], views),
        'product_id': tf.repeat(records['product_id'], views),
    }


def batch(pictures: Columns, decode: Decode) -> Columns:
    """Decodes pictures to what a step takes: `image` uint8 [b, H, W, 3] and `label` int64 [b].

    An undecodable picture has no label: `sources.UNLABELLED`.
    """
    images, decodable = decode(pictures['encoded'])
    labels = tf.where(decodable, pictures['label'], tf.constant(sources.UNLABELLED, tf.int64))
    return {'image': images, 'label': labels}


def parse(serialized: tf.Tensor) -> Columns:
    """Parses records to pictures with all that is known of them: string [R] -> tensors [P].

    Beside the columns of `group`: `index` int64 [P], a picture's position in its product, and
    `leaked` int64 [P], 1 if the same bytes occur in train.
    """
    numbers = tf.io.RaggedFeature(tf.int64)
    parse_records = sources.parser(InputConfig(), {record.INDEX: numbers, record.LEAKED: numbers})
    records = parse_records(serialized)
    views = records['encoded'].row_lengths()
    return {
        **group(records),
        'index': records[record.INDEX].flat_values,
        'leaked': _fill(records[record.LEAKED], views),
    }


def _fill(numbers: tf.RaggedTensor, views: tf.Tensor) -> tf.Tensor:
    """Returns one number for each view; 0 for records that have none (`leaked` of train data)."""
    given = tf.repeat(numbers.row_lengths() > 0, views)
    zeros = tf.zeros(tf.shape(given), tf.int64)
    return tf.tensor_scatter_nd_update(zeros, tf.where(given), numbers.flat_values)
