"""Shards to batches of uint8 pictures. Decides order and grouping, not what becomes of a pixel.

Records travel serialized and are parsed by the thousand; pictures travel encoded and are decoded
by the batch, several batches at a time: fewer and larger elements cost tf.data less.
"""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from catalog import record
from catalog.errors import UserError
from trainer import preprocess
from trainer.config import InputConfig, TrainConfig
from trainer.data_set import DataSet

Parse = Callable[[Any], dict[str, tf.Tensor]]

UNLABELLED = -1

_PARSED_RECORDS = 1024  # at a time
_INTERLEAVED_SHARDS = 16  # open at a time
_EPOCHS = 1 << 40  # without end
_READY_BATCHES = 2
_FEWEST_PRODUCTS = 20  # of a sample: the chance that none is drawn is then 2e-9
_PLACES = 1 << 30  # that a product's hash may fall on
_EVALUATION_SEED = 1  # of a share of products to evaluate


def train_batches(
    data: DataSet, config: TrainConfig, *, worker: int = 0, num_workers: int = 1
) -> tf.data.Dataset:
    """The train split without end, each picture once an epoch, in an order drawn for each epoch.

    Every worker reads all records and decodes its own part of each batch, so that a batch holds the
    same pictures whatever the number of workers; there may be fewer shards than workers.

    An epoch's last batch is filled up from the next epoch, so that none is dropped. The stream is a
    function of the shards, the seed and the batch size alone, and its iterator can be checkpointed:
    reading is deterministic and every draw is stateless.

    Returns:
      {'image': uint8 [b, H, W, 3], 'label': int64 [b]}, b = batch_size / num_workers
    """
    return train_stream(
        data,
        config,
        parse=parse_pictures,
        decode=lambda x: {'image': _decode(x['encoded'], config.input), 'label': x['label']},
        worker=worker,
        num_workers=num_workers,
    )


def train_stream(
    data: DataSet,
    config: TrainConfig,
    *,
    parse: Parse,
    decode: Parse,
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """The stream of `train_batches` for examples of any kind.

    Args:
      data: with a train split.
      config: of the run; `batch_size` counts examples.
      parse: serialized records, string [R], to examples: `encoded` [E, …], `label` and `product_id`
        int64 [E].
      decode: `encoded` and `label` of a worker's part of a batch to what a step takes.
      worker: whose part.
      num_workers: that share each batch.
    """
    part = config.batch_size // num_workers
    mine = slice(worker * part, (worker + 1) * part)
    batches = _shuffled(data, config, parse=parse).map(
        lambda examples: decode({name: column[mine] for name, column in examples.items()}),
        num_parallel_calls=_decoders(),
        deterministic=config.input.deterministic,
    )
    # An iterator's checkpoint holds what is read ahead, about two blocks of encoded pictures.
    # Symbolic checkpoints would be 12 KB, but TensorFlow 2.21 now and then ends in a segmentation
    # fault where an iterator with them is deleted.
    return batches.prefetch(_READY_BATCHES)


def _shuffled(data: DataSet, config: TrainConfig, *, parse: Parse) -> tf.data.Dataset:
    """Batches of all workers, encoded, epoch after epoch: {'encoded': …, 'label': int64 [B]}."""
    _check_fraction(data, config.input)
    epochs = tf.data.Dataset.range(_EPOCHS)
    blocks = epochs.flat_map(lambda epoch: _epoch(data, config, epoch=epoch, parse=parse))
    return blocks.prefetch(1).rebatch(config.batch_size, drop_remainder=True)


def _check_fraction(data: DataSet, config: InputConfig) -> None:
    # An epoch without a product would be read again and again, for ever.
    left = config.sample_fraction * sum(data.split('train').products_per_class)
    if config.sample_fraction < 1 and left < _FEWEST_PRODUCTS:
        raise UserError(
            f'input.sample_fraction must leave at least {_FEWEST_PRODUCTS} products, got '
            f'{config.sample_fraction}, which leaves about {left:.0f}'
        )


def _sampled(examples: dict[str, tf.Tensor], config: TrainConfig) -> dict[str, tf.Tensor]:
    """Those of the products that the run learns from: by a hash of product and seed."""
    if config.input.sample_fraction == 1:
        return examples
    kept = drawn(examples['product_id'], share=config.input.sample_fraction, seed=config.seed)
    names = ('encoded', 'label')
    return {name: tf.boolean_mask(examples[name], kept) for name in names}


def drawn(product_id: tf.Tensor, *, share: float, seed: int) -> tf.Tensor:
    """Which products are in a share of them, by a hash of product and seed: int64 [N] -> bool."""
    products = tf.strings.as_string(product_id)
    places = tf.strings.to_hash_bucket_strong(products, _PLACES, key=[seed, 0])
    return places < int(share * _PLACES)


def _read(path: tf.Tensor, records: tf.Tensor, *, compression: str) -> tf.data.Dataset:
    """The records of a shard. One that was cut between two records would end like a whole one."""
    read = tf.data.TFRecordDataset(path, compression_type=compression)
    return read.apply(tf.data.experimental.assert_cardinality(records))


def _shards(data: DataSet, split: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The paths and the numbers of records of a split's shards: string [S], int64 [S]."""
    records = [shard.records for shard in data.split(split).shards]
    return tf.constant(data.paths(split), tf.string), tf.constant(records, tf.int64)


def _compression(paths: list[str]) -> str:
    return 'GZIP' if paths and paths[0].endswith('.gz') else ''


def _epoch(
    data: DataSet,
    config: TrainConfig,
    *,
    epoch: tf.Tensor,
    parse: Parse,
) -> tf.data.Dataset:
    """One epoch, in blocks of mixed examples, encoded."""
    compression = _compression(data.paths('train'))
    seed = tf.stack([tf.constant(config.seed, tf.int64), epoch])
    paths, counts = _shards(data, 'train')
    order = tf.random.experimental.stateless_shuffle(tf.range(len(paths)), seed)
    shards = tf.data.Dataset.from_tensor_slices((tf.gather(paths, order), tf.gather(counts, order)))
    records = shards.interleave(
        lambda path, count: _read(path, count, compression=compression),
        cycle_length=_INTERLEAVED_SHARDS,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=config.input.deterministic,
    )
    blocks = records.batch(config.input.shuffle_records).enumerate()
    return blocks.map(
        lambda number, block: _mixed(_sampled(parse(block), config), seed=seed, block=number)
    )


def _mixed(
    pictures: dict[str, tf.Tensor], *, seed: tf.Tensor, block: tf.Tensor
) -> dict[str, tf.Tensor]:
    """A block's pictures in an order drawn for it, the views of a product parted.

    Dataset.shuffle would draw from a generator with a state of its own, and from TensorFlow's
    global seed.
    """
    seed = tf.random.experimental.stateless_fold_in(seed, block)
    positions = tf.range(tf.shape(pictures['label'])[0])
    order = tf.random.experimental.stateless_shuffle(positions, seed)
    return {name: tf.gather(pictures[name], order) for name in ('encoded', 'label')}


def evaluation_batches(
    data: DataSet,
    split: str,
    config: TrainConfig,
    *,
    share: float = 1.0,
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """Every picture of a split once, in the order of the shards; the last batch may be smaller.

    Of several workers, each decodes every `num_workers`-th batch. With a `share` below 1, only the
    pictures of so many of the products, drawn by product.

    Returns:
      {'image': uint8 [B, H, W, 3], 'label': int64 [B] (-1 where unlabelled), 'product_id': int64
      [B], 'index': int64 [B], the picture's position in its product, 'leaked': int64 [B]}
    """

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures = parse_pictures(serialized)
        if share == 1:
            return pictures
        kept = drawn(pictures['product_id'], share=share, seed=_EVALUATION_SEED)
        return {name: tf.boolean_mask(column, kept) for name, column in pictures.items()}

    return evaluation_stream(
        data,
        split,
        config,
        parse=parse,
        decode=lambda x: {'image': _decode(x.pop('encoded'), config.input), **x},
        worker=worker,
        num_workers=num_workers,
    )


def evaluation_stream(
    data: DataSet,
    split: str,
    config: TrainConfig,
    *,
    parse: Parse,
    decode: Parse,
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """The stream of `evaluation_batches` for examples of any kind; arguments: `train_stream`."""
    compression = _compression(data.paths(split))
    shards = tf.data.Dataset.from_tensor_slices(_shards(data, split))
    records = shards.flat_map(lambda path, count: _read(path, count, compression=compression))
    examples = records.batch(_PARSED_RECORDS).map(parse)
    batches = examples.rebatch(config.batch_size).shard(num_workers, worker)
    batches = batches.map(decode, num_parallel_calls=_decoders(), deterministic=True)
    return batches.prefetch(_READY_BATCHES)


def _decoders() -> int:
    # AUTOTUNE kept to one of two cores: 6,400 pictures/s of 180x180 against 7,800, others at work.
    return len(os.sched_getaffinity(0))


def _decode(encoded: tf.Tensor, config: InputConfig) -> tf.Tensor:
    return preprocess.decode_batch(encoded, height=config.height, width=config.width)


def example_features() -> dict[str, Any]:
    """How every record is parsed, whatever it is made into."""
    return {
        record.ENCODED: tf.io.RaggedFeature(tf.string),
        record.LABEL: tf.io.FixedLenFeature([], tf.int64, default_value=UNLABELLED),
        record.PRODUCT_ID: tf.io.FixedLenFeature([], tf.int64),
    }


def parse_pictures(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Records to pictures: string [R] -> tensors [P], P the sum of their views.

    Product records and picture records alike: a scalar feature is a list of one.
    """
    numbers = tf.io.RaggedFeature(tf.int64)
    parsed = tf.io.parse_example(
        serialized, {**example_features(), record.INDEX: numbers, record.LEAKED: numbers}
    )
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
