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
from trainer.config import InputConfig, TrainConfig
from trainer.data import progressive_resizing as sizes
from trainer.data import sampling, sources
from trainer.data.data_set import DataSet
from trainer.data.sources import Columns, Source

Parse = Callable[[Any], dict[str, tf.Tensor]]
Group = Callable[[Columns], Columns]
Decode = Callable[[tf.Tensor], tf.Tensor]

READY_BATCHES = 2  # decoded ahead

_INTERLEAVED_SHARDS = 16  # open at a time
_EPOCHS = 1 << 40  # without end
_FEWEST_PRODUCTS = 20  # of a sample: the chance that none is drawn is then 2e-9
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
      {'image': uint8 [b, H, W, 3], 'label': int64 [b]}, b = batch_size / num_workers; H and W are
      None where the config has several sizes.
    """
    return train_stream(
        data,
        config,
        group=pictures_of,
        make=lambda x, decode: {'image': decode(x['encoded']), 'label': x['label']},
        worker=worker,
        num_workers=num_workers,
    )


def train_stream(
    data: DataSet,
    config: TrainConfig,
    *,
    group: Group,
    make: Callable[[Columns, Decode], Columns],
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """The stream of `train_batches` for examples of any kind.

    Args:
      data: with a train split.
      config: of the run; `batch_size` counts examples.
      group: records, as `Source` parses them, to examples: `encoded` [E, …], `label` and
        `product_id` int64 [E].
      make: `encoded` and `label` of a worker's part of a batch, and a function that decodes a row
        of pictures, to what a step takes.
      worker: whose part.
      num_workers: that share each batch.
    """
    source = sources.of_train(data, config)
    part = config.batch_size // num_workers
    mine = slice(worker * part, (worker + 1) * part)

    def batch(step: tf.Tensor, examples: Columns) -> Columns:
        return make(
            {name: column[mine] for name, column in examples.items()},
            lambda encoded: source.decode(encoded, step),
        )

    batches = _shuffled(data, config, source=source, group=group).enumerate()
    batches = batches.map(
        batch, num_parallel_calls=_decoders(), deterministic=config.input.deterministic
    )
    # An iterator's checkpoint holds what is read ahead, about two blocks of encoded pictures.
    # Symbolic checkpoints would be 12 KB, but TensorFlow 2.21 now and then ends in a segmentation
    # fault where an iterator with them is deleted.
    return _ready(batches)


def _shuffled(
    data: DataSet, config: TrainConfig, *, source: Source, group: Group
) -> tf.data.Dataset:
    """Batches of all workers, encoded, epoch after epoch: {'encoded': …, 'label': int64 [B]}."""
    _check_fraction(data, config.input)
    rule = sampling.build(data, config)
    epochs = tf.data.Dataset.range(_EPOCHS)
    blocks = epochs.flat_map(
        lambda epoch: _epoch(config, source=source, group=group, rule=rule, epoch=epoch)
    )
    return blocks.prefetch(1).rebatch(config.batch_size, drop_remainder=True)


def _check_fraction(data: DataSet, config: InputConfig) -> None:
    # An epoch without a product would be read again and again, for ever.
    left = config.sample_fraction * sum(data.split('train').products_per_class)
    if config.sample_fraction < 1 and left < _FEWEST_PRODUCTS:
        raise UserError(
            f'input.sample_fraction must leave at least {_FEWEST_PRODUCTS} products, got '
            f'{config.sample_fraction}, which leaves about {left:.0f}'
        )


def _epoch(
    config: TrainConfig,
    *,
    source: Source,
    group: Group,
    rule: sampling.Copies,
    epoch: tf.Tensor,
) -> tf.data.Dataset:
    """One epoch, in blocks of mixed examples, encoded."""
    seed = tf.stack([tf.constant(config.seed, tf.int64), epoch])
    order = tf.random.experimental.stateless_shuffle(tf.range(len(source.parts[0])), seed)
    parts = tf.data.Dataset.from_tensor_slices(tuple(tf.gather(x, order) for x in source.parts))
    records = parts.interleave(
        source.read,
        cycle_length=_INTERLEAVED_SHARDS,
        num_parallel_calls=_decoders(),
        deterministic=config.input.deterministic,
    )

    def mixed(number: tf.Tensor, block: tf.Tensor) -> Columns:
        """A block's examples in an order drawn for it, the views of a product parted.

        Dataset.shuffle would draw from a generator with a state of its own, and from TensorFlow's
        global seed.
        """
        examples = group(source.parse(block))
        rows = rule.rows(examples['label'], examples['product_id'], epoch=epoch)
        its_seed = tf.random.experimental.stateless_fold_in(seed, number)
        rows = tf.random.experimental.stateless_shuffle(rows, its_seed)
        return {name: tf.gather(examples[name], rows) for name in ('encoded', 'label')}

    return records.batch(config.input.shuffle_records).enumerate().map(mixed)


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
        kept = sampling.chosen(pictures['product_id'], fraction=share, seed=_EVALUATION_SEED)
        return {name: tf.boolean_mask(column, kept) for name, column in pictures.items()}

    return evaluation_stream(
        data,
        split,
        config,
        parse=parse,
        decode=lambda x: {'image': sizes.decode(x.pop('encoded'), config.input, step=None), **x},
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
    """The stream of `evaluation_batches` for examples of any kind.

    Args:
      data: with the split.
      split: its name.
      config: of the run; `batch_size` counts examples.
      parse: serialized records, string [R], to examples.
      decode: a batch of them to what is wanted of it.
      worker: whose batches.
      num_workers: that share the split.
    """
    shards = tf.data.Dataset.from_tensor_slices(sources.shards(data, split))
    records = shards.flat_map(sources.reader(data, split))
    examples = records.batch(sources.PARSED_RECORDS).map(parse)
    batches = examples.rebatch(config.batch_size).shard(num_workers, worker)
    batches = batches.map(decode, num_parallel_calls=_decoders(), deterministic=True)
    return _ready(batches)


def _ready(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Some read ahead. All numbers are fixed: nothing is left to the autotuner, whose thread kept a
    worker that had lost its peer from ending (TensorFlow 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(READY_BATCHES).with_options(options)


def _decoders() -> int:
    # AUTOTUNE kept to one of two cores: 6,400 pictures/s of 180x180 against 7,800, others at work.
    return len(os.sched_getaffinity(0))


def pictures_of(records: Columns) -> Columns:
    """Records to pictures: columns [R] -> tensors [P], P the sum of their views."""
    views = records['encoded'].row_lengths()
    return {
        'encoded': records['encoded'].flat_values,
        'label': tf.repeat(records['label'], views),
        'product_id': tf.repeat(records['product_id'], views),
    }


def parse_pictures(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Records to pictures and all that is known of them: string [R] -> tensors [P]."""
    numbers = tf.io.RaggedFeature(tf.int64)
    parse = sources.parser(InputConfig(), {record.INDEX: numbers, record.LEAKED: numbers})
    records = parse(serialized)
    views = records['encoded'].row_lengths()
    return {
        **pictures_of(records),
        'index': records[record.INDEX].flat_values,
        'leaked': _filled(records[record.LEAKED], views),
    }


def _filled(numbers: tf.RaggedTensor, views: tf.Tensor) -> tf.Tensor:
    """One number a view; 0 in the records that have none (`leaked` of train data)."""
    given = tf.repeat(numbers.row_lengths() > 0, views)
    zeros = tf.zeros(tf.shape(given), tf.int64)
    return tf.tensor_scatter_nd_update(zeros, tf.where(given), numbers.flat_values)
