"""Shards to batches of whole products: their views as one padded tensor with a mask.

Order, epochs and parts of workers are those of `input_pipeline`.
"""

import tensorflow as tf

from catalog import record
from trainer import feature_record, feature_source, input_pipeline, preprocess
from trainer.config import TrainConfig
from trainer.data_set import DataSet

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
        parse=lambda serialized: _parse(serialized, config),
        decode=_decoder(data, config),
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
    return input_pipeline.evaluation_stream(
        data,
        split,
        config,
        parse=lambda serialized: _parse(serialized, config),
        decode=_decoder(data, config),
        worker=worker,
        num_workers=num_workers,
    )


def _parse(serialized: tf.Tensor, config: TrainConfig) -> Batch:
    """Records to products: string [R] -> `encoded` string [R, V], '' where there is no view."""
    name = feature_record.FEATURES if config.input.features else record.ENCODED
    views = {name: tf.io.RaggedFeature(tf.string)}
    parsed = tf.io.parse_example(serialized, {**input_pipeline.example_features(), **views})
    shape = [None, config.model.fusion.max_views]
    return {
        'encoded': parsed[name].to_tensor('', shape=shape),
        'label': parsed[record.LABEL],
        'product_id': parsed[record.PRODUCT_ID],
    }


def _decoder(data: DataSet, config: TrainConfig) -> input_pipeline.Parse:
    """A function from a batch, encoded, to what a step takes."""
    size = feature_source.of(data.manifest).size if config.input.features else 0

    def views(encoded: tf.Tensor) -> tuple[str, tf.Tensor]:
        if config.input.features:
            return 'features', feature_record.decode(encoded, size=size)
        return 'image', preprocess.decode_batch(
            encoded, height=config.input.height, width=config.input.width
        )

    def decode(batch: Batch) -> Batch:
        mask = batch['encoded'] != ''  # [b, V]
        name, values = views(batch['encoded'][mask])  # of all the products in turn
        return {name: tf.gather(values, _rows(mask)), 'mask': mask, 'label': batch['label']}

    return decode


def _rows(mask: tf.Tensor) -> tf.Tensor:
    """Which of all real views in turn stands at each place: bool [b, V] -> int32 [b, V]."""
    counts = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1, keepdims=True)
    starts = tf.cumsum(counts, exclusive=True)
    return starts + tf.range(mask.shape[1]) % counts
