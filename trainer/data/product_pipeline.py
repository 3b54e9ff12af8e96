"""Shards to batches of whole products: their views as one padded tensor with a mask.

Order, epochs and parts of workers are those of `input_pipeline`.
"""

import tensorflow as tf

from trainer.config import TrainConfig
from trainer.data import input_pipeline, sources
from trainer.data.data_set import DataSet
from trainer.data.input_pipeline import Decode
from trainer.data.sources import Columns

Batch = dict[str, tf.Tensor]


def train_batches(
    data: DataSet, config: TrainConfig, *, worker: int = 0, num_workers: int = 1
) -> tf.data.Dataset:
    """`input_pipeline.train_batches` of products: an epoch has each record once.

    A product's views beyond `max_views` are left out. Where it has fewer, the mask is False, and
    its own views stand there again in turn, so that batch norm under XLA, which takes all places,
    sees no picture that is none.

    Returns:
      {'image': uint8 [b, max_views, H, W, 3], 'mask': bool [b, max_views], 'label': int64 [b]},
      b = batch_size / num_workers; of a feature cache `features` float32 [b, max_views, d] in the
      place of `image`
    """
    return input_pipeline.train_stream(
        data,
        config,
        group=lambda records: _products(records, config),
        make=lambda products, decode: _batch(products, decode, config),
        worker=worker,
        num_workers=num_workers,
    )


def evaluation_batches(
    data: DataSet, split: str, config: TrainConfig, *, worker: int = 0, num_workers: int = 1
) -> tf.data.Dataset:
    """Every product of a split once, in the order of the shards; the last batch may be smaller.

    Of several workers, each decodes every `num_workers`-th batch. They hold what those of
    `train_batches` do.
    """
    parse, decode = sources.parser(config.input), sources.decoder(data, config.input)
    return input_pipeline.evaluation_stream(
        data,
        split,
        config,
        parse=lambda serialized: _products(parse(serialized), config),
        decode=lambda products: _batch(products, lambda x: decode(x, None), config),
        worker=worker,
        num_workers=num_workers,
    )


def _products(records: Columns, config: TrainConfig) -> Batch:
    """Records to products: columns [R], `encoded` ragged -> [R, V]."""
    shape = [None, config.model.fusion.max_views]
    return {**records, 'encoded': records['encoded'].to_tensor(shape=shape)}


def _batch(products: Batch, decode: Decode, config: TrainConfig) -> Batch:
    encoded = products['encoded']
    mask = encoded != tf.zeros([], encoded.dtype)  # [b, V]
    values = decode(encoded[mask])  # of all the products in turn
    name = 'features' if config.input.features else 'image'
    return {name: tf.gather(values, _rows(mask)), 'mask': mask, 'label': products['label']}


def _rows(mask: tf.Tensor) -> tf.Tensor:
    """Which of all real views in turn stands at each place: bool [b, V] -> int32 [b, V]."""
    counts = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1, keepdims=True)
    starts = tf.cumsum(counts, exclusive=True)
    return starts + tf.range(mask.shape[1]) % counts
