"""Shards to batches of uint8 pictures. Decides order and grouping, not what becomes of a pixel."""

from typing import Any

import tensorflow as tf

from catalog import record
from trainer import preprocess
from trainer.config import InputConfig, TrainConfig
from trainer.data_set import DataSet

_UNLABELLED = -1
_PARSE_RECORDS = 1024  # records parsed at a time
_INTERLEAVED_SHARDS = 16


def train_batches(data: DataSet, config: TrainConfig) -> tf.data.Dataset:
    """The train split without end, each picture once an epoch, in an order drawn for each epoch.

    The stream is a function of the data, the seed and the batch size alone, and its iterator can
    be checkpointed: reading is deterministic and every draw is stateless.

    Returns:
      {'image': uint8 [batch_size, H, W, 3], 'label': int64 [batch_size]}
    """
    paths = data.paths('train')
    epochs = tf.data.Dataset.range(1 << 40)
    pictures = epochs.flat_map(lambda epoch: _epoch(paths, config, epoch=epoch))
    pictures = pictures.map(
        lambda x: {'image': _decode(x['encoded'], config.input), 'label': x['label']},
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return pictures.batch(config.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _epoch(paths: list[str], config: TrainConfig, *, epoch: tf.Tensor) -> tf.data.Dataset:
    seed = tf.stack([tf.constant(config.seed, tf.int64), epoch])
    order = tf.random.experimental.stateless_shuffle(tf.constant(paths), seed=seed)
    records = tf.data.Dataset.from_tensor_slices(order).interleave(
        tf.data.TFRecordDataset,
        cycle_length=_INTERLEAVED_SHARDS,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    records = records.shuffle(config.input.shuffle_records, seed=config.seed + epoch)
    return records.batch(_PARSE_RECORDS).map(_parse).unbatch()


def evaluation_batches(data: DataSet, split: str, config: TrainConfig) -> tf.data.Dataset:
    """Every picture of a split once, in the order of the shards; the last batch may be smaller.

    Returns:
      {'image': uint8 [B, H, W, 3], 'label': int64 [B] (-1 where unlabelled), 'product_id': int64
      [B], 'index': int64 [B], the picture's position in its product, 'leaked': int64 [B]}
    """
    records = tf.data.Dataset.from_tensor_slices(data.paths(split)).flat_map(
        tf.data.TFRecordDataset
    )
    pictures = records.batch(_PARSE_RECORDS).map(_parse).unbatch()

    def decode(picture: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rest = {name: value for name, value in picture.items() if name != 'encoded'}
        return {'image': _decode(picture['encoded'], config.input), **rest}

    pictures = pictures.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return pictures.batch(config.batch_size).prefetch(tf.data.AUTOTUNE)


def _decode(encoded: tf.Tensor, config: InputConfig) -> tf.Tensor:
    return preprocess.decode(encoded, height=config.height, width=config.width)


def _parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Records to pictures: string [R] -> tensors [P], P the sum of their views.

    Product records and picture records alike: a scalar feature is a list of one.
    """
    numbers = tf.io.RaggedFeature(tf.int64)
    features: dict[str, Any] = {
        record.ENCODED: tf.io.RaggedFeature(tf.string),
        record.INDEX: numbers,
        record.LEAKED: numbers,
        record.LABEL: tf.io.FixedLenFeature([], tf.int64, default_value=_UNLABELLED),
        record.PRODUCT_ID: tf.io.FixedLenFeature([], tf.int64),
    }
    parsed = tf.io.parse_example(serialized, features)
    encoded = parsed[record.ENCODED]
    views = encoded.row_lengths()
    return {
        'encoded': encoded.flat_values,
        'label': tf.repeat(parsed[record.LABEL], views),
        'product_id': tf.repeat(parsed[record.PRODUCT_ID], views),
        'index': parsed[record.INDEX].flat_values,
        'leaked': _filled(parsed[record.LEAKED], views),
    }


def _filled(numbers: tf.RaggedTensor, views: tf.Tensor) -> tf.Tensor:
    """One number a view; 0 in the records that have none (`leaked` of train data)."""
    given = tf.repeat(numbers.row_lengths() > 0, views)
    zeros = tf.zeros(tf.shape(given), tf.int64)
    return tf.tensor_scatter_nd_update(zeros, tf.where(given), numbers.flat_values)
