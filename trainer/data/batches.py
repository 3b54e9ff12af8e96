"""Shards to batches: epochs, blocks of shuffled examples, and the parts of workers and devices.

What a batch holds is in `pictures` and `products`; which records are read, and by which worker, in
`trainer.epochs`.

Records travel serialized and are parsed by the thousand; pictures travel encoded and are decoded
by the batch, several batches at a time: fewer and larger elements cost tf.data less.
"""

import atexit
import dataclasses
import functools
import gc
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from catalog.errors import UserError
from trainer.config import InputConfig
from trainer.data import pictures, products, sampling, sources
from trainer.data.data_set import DataSet
from trainer.data.examples import BatchSpec, ExampleSpec
from trainer.data.pictures import Decode
from trainer.data.sampling import Sampler
from trainer.data.sources import Columns, Source
from trainer.epochs import reading_order, streams
from trainer.epochs.streams import Share
from trainer.undecodable.log import UndecodableLog

Map = Callable[[Any], Columns]
Group = Callable[[Columns], Columns]
MakeBatch = Callable[[Columns, Decode], Columns]
Position = tuple[int, int, int]

PREFETCHED_BATCHES = 2

START = (0, 0, 0)  # the position of the first example

_EPOCHS = 1 << 40  # without end
_BLOCK_BITS = 32  # of the number of a block
_MIN_SAMPLED_PRODUCTS = 20  # the chance that an epoch is empty is then 2e-9
_SHARE_SEED = 1  # of a share of products to evaluate


def train_batches(
    data: DataSet,
    spec: BatchSpec,
    *,
    worker: int = 0,
    num_workers: int = 1,
    devices: int = 1,
    starts: Sequence[Position] = (START,),
    first_step: int = 0,
    undecodable: UndecodableLog | None = None,
) -> tf.data.Dataset:
    """Returns the train split without end: each example once an epoch, shuffled anew in each epoch.

    A batch takes equally many examples of each stream (`epochs.streams`), and the workers divide
    it, so that it holds the same examples for any number of workers. Of one stream, every worker
    reads all records and decodes its own part of each batch; there may be fewer shards than
    workers. Of as many streams as workers, each reads its own records alone.

    A stream fills the last batch of an epoch from the next epoch, so that no example is dropped,
    and waits for no other stream: where their examples differ in number, one begins an epoch some
    steps before another.

    The batches are a function of shards, seed, batch size and number of streams alone: reading is
    deterministic and every draw is stateless. They start at any position, and read at most the
    shards that are open there from their beginning.

    Args:
      data: A data set with a train split.
      spec: What a batch holds.
      worker: Index of this worker.
      num_workers: Number of workers that share each batch.
      devices: Devices of this worker, each of which takes an equal part of the worker's.
      starts: For each stream, its position in the batch before the first one: epoch, block of the
        epoch, and number of the block's examples that were in batches.
      first_step: The step that takes the first batch.
      undecodable: Where undecodable pictures are logged. Their examples have no label, whatever
        else is in the batch.

    Returns:
      A dataset of `pictures.batch` or `products.batch`, b = batch_size / (num_workers * devices);
      for each step one element for each device in turn. H and W are None if the config has several
      sizes. `position` is where the streams resume after the batch: if reading is shared, int64 [3]
      on all devices; if it is sharded, int64 [streams, 3], which is the sum over all devices.
    """
    source = sources.train_source(data, spec.input, undecodable=undecodable)
    _, make_batch = _example_functions(spec.example)
    own_size = spec.batch_size // num_workers
    shares = streams.shares(
        spec.batch_size, streams=len(starts), worker=worker, num_workers=num_workers
    )
    own_streams = [
        _share_of_stream(data, spec, source=source, share=share, starts=starts) for share in shares
    ]

    def merge(*parts: Columns) -> Columns:
        """Joins the examples of several streams, and repeats the positions for each example."""
        positions = tf.stack([part['position'] for part in parts])  # [streams of this worker, 3]
        columns = {name: tf.concat([part[name] for part in parts], axis=0) for name in parts[0]}
        return {**columns, 'position': tf.broadcast_to(positions, [own_size, *positions.shape])}

    def run_position(own: tf.Tensor, device: tf.Tensor) -> tf.Tensor:
        """Returns the column `position` of a device, from those of this worker's streams."""
        if spec.input.reading == 'shared':
            return own[0]
        counted = [place for place, share in enumerate(shares) if share.is_first]
        rows = tf.constant(
            [[shares[place].stream] for place in counted], tf.int64, [len(counted), 1]
        )
        of_streams = tf.scatter_nd(
            rows, tf.gather(own, tf.constant(counted, tf.int32)), [len(starts), len(START)]
        )
        return tf.where(device == 0, of_streams, 0)

    def decode_part(number: tf.Tensor, examples: Columns) -> Columns:
        step, device = first_step + number // devices, number % devices
        position = run_position(examples.pop('position')[0], device)
        batch = make_batch(examples, lambda encoded: source.decode(encoded, step))
        return {**batch, 'position': position}

    batches = tf.data.Dataset.zip(*own_streams).map(merge)
    if devices > 1:
        batches = batches.rebatch(own_size // devices, drop_remainder=True)
    batches = batches.enumerate().map(
        decode_part,
        num_parallel_calls=_parallel_decoders(),
        deterministic=spec.input.deterministic,
    )
    return _prefetched(batches)


def _share_of_stream(
    data: DataSet, spec: BatchSpec, *, source: Source, share: Share, starts: Sequence[Position]
) -> tf.data.Dataset:
    """Returns the worker's examples of a stream for each step, with `position` int64 [3]."""

    def select(examples: Columns) -> Columns:
        rows = {name: column[share.rows] for name, column in examples.items()}
        return {**rows, 'position': examples['position'][-1]}

    batches = encoded_batches(
        data, spec, source=source, start=starts[share.stream], stream=(share.stream, len(starts))
    )
    return batches.map(select)


def _example_functions(example: ExampleSpec) -> tuple[Group, MakeBatch]:
    if example.max_views is None:
        return pictures.group, pictures.batch
    return (
        functools.partial(products.group, max_views=example.max_views),
        functools.partial(products.batch, example=example),
    )


def encoded_batches(
    data: DataSet,
    spec: BatchSpec,
    *,
    source: Source,
    start: Position = START,
    stream: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns what the batches of `train_batches` hold of a stream, before it is decoded.

    Args:
      data: A data set with a train split.
      spec: What a batch holds.
      source: Where records are read from.
      start: The position of the stream.
      stream: Index of the stream, and number of streams.

    Returns:
      A dataset of {'encoded': [B, …], 'label': int64 [B], 'position': int64 [B, 3]}, B the
      batch size divided by the number of streams, epoch after epoch.
    """
    _check_fraction(data, spec.input, streams=stream[1])
    group, _ = _example_functions(spec.example)
    sampler = sampling.build_sampler(data, spec)
    epochs = tf.data.Dataset.range(start[0], _EPOCHS)
    blocks = epochs.flat_map(
        lambda epoch: _epoch(
            spec,
            source=source,
            group=group,
            sampler=sampler,
            epoch=epoch,
            start=start,
            stream=stream,
        )
    )
    return blocks.prefetch(1).rebatch(spec.batch_size // stream[1], drop_remainder=True)


def _check_fraction(data: DataSet, config: InputConfig, *, streams: int) -> None:
    # An epoch without a product would be read again and again, without end.
    products_left = config.sample_fraction * sum(data.split('train').products_per_class)
    least = _MIN_SAMPLED_PRODUCTS * streams
    if config.sample_fraction < 1 and products_left < least:
        raise UserError(
            f'input.sample_fraction must leave at least {least} products, got '
            f'{config.sample_fraction}, which leaves about {products_left:.0f}'
        )


def _epoch(
    spec: BatchSpec,
    *,
    source: Source,
    group: Group,
    sampler: Sampler,
    epoch: tf.Tensor,
    start: Position,
    stream: tuple[int, int],
) -> tf.data.Dataset:
    """Returns what `start` leaves of a stream's epoch, in blocks of shuffled examples, encoded."""
    seed = tf.stack([tf.constant(spec.seed, tf.int64), epoch])
    shuffle_records = spec.input.shuffle_records
    is_first = epoch == start[0]
    first_block = tf.where(is_first, tf.constant(start[1], tf.int64), 0)
    pieces = reading_order.after(
        reading_order.shuffled(source.records, seed=seed, part=stream),
        first_block * shuffle_records,
    )

    def read_group(*pieces: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(pieces).interleave(
            source.read,
            cycle_length=reading_order.OPEN_SHARDS,
            num_parallel_calls=_parallel_decoders(),
            deterministic=spec.input.deterministic,
        )

    groups = tf.data.Dataset.from_tensor_slices((pieces.shard, pieces.first, pieces.end))
    records = groups.flat_map(read_group)

    def shuffle(number: tf.Tensor, block: tf.Tensor) -> Columns:
        """Shuffles the examples of a block, the views of a product separately.

        Dataset.shuffle draws from a stateful generator and from TensorFlow's global seed.
        """
        examples = group(source.parse(block))
        rows = sampler.sample(examples['label'], examples['product_id'], epoch=epoch)
        block_seed = tf.random.experimental.stateless_fold_in(
            seed, number + (stream[0] << _BLOCK_BITS)
        )
        rows = tf.random.experimental.stateless_shuffle(rows, block_seed)
        used = tf.where(is_first & (number == start[1]), start[2], 0)
        ends = tf.range(used, tf.size(rows), dtype=tf.int64) + 1
        position = tf.stack([tf.fill(tf.shape(ends), n) for n in (epoch, number)] + [ends], axis=1)
        kept = rows[used:]
        columns = {name: tf.gather(examples[name], kept) for name in ('encoded', 'label')}
        return {**columns, 'position': position}

    return records.batch(shuffle_records).enumerate(first_block).map(shuffle)


def evaluation_batches(
    data: DataSet,
    split: str,
    spec: BatchSpec,
    *,
    worker: int = 0,
    num_workers: int = 1,
    undecodable: UndecodableLog | None = None,
) -> tf.data.Dataset:
    """Returns every example of a split once, in the order of the shards; the last batch may be
    smaller.

    Of several workers, each decodes every `num_workers`-th batch. A batch holds what one of
    `train_batches` does.
    """
    parse = sources.parser(spec.input)
    decode = sources.decoder(data, spec.input, undecodable=undecodable)
    group, make_batch = _example_functions(spec.example)
    return map_split(
        data,
        split,
        parse=lambda serialized: group(parse(serialized)),
        decode=lambda examples: make_batch(examples, lambda encoded: decode(encoded, None)),
        batch_size=spec.batch_size,
        shard=(num_workers, worker),
    )


def picture_batches(
    data: DataSet,
    split: str,
    config: InputConfig,
    *,
    batch_size: int,
    share: float = 1.0,
    undecodable: UndecodableLog | None = None,
) -> tf.data.Dataset:
    """Returns every decodable picture of a split once, with all that is known of it.

    Args:
      data: A data set of pictures.
      split: Name of the split.
      config: Image size.
      batch_size: Pictures in a batch; the last batch, and one with undecodable pictures, may be
        smaller, but none is empty.
      share: Share of the products, drawn by product, whose pictures are read.
      undecodable: Where undecodable pictures are logged.

    Returns:
      A dataset of {'image': uint8 [B, H, W, 3], 'label': int64 [B] (-1 if unlabelled),
      'product_id': int64 [B], 'index': int64 [B], the picture's position in its product,
      'leaked': int64 [B]}.
    """

    def parse(serialized: tf.Tensor) -> Columns:
        columns = pictures.parse(serialized)
        if share == 1:
            return columns
        kept = sampling.in_fraction(columns['product_id'], fraction=share, seed=_SHARE_SEED)
        return {name: tf.boolean_mask(column, kept) for name, column in columns.items()}

    same_pixels = dataclasses.replace(config, decoder='simplejpeg')  # the other one may fail
    decode_pictures = sources.picture_decoder(same_pixels, undecodable=undecodable)

    def decode(columns: Columns) -> Columns:
        image, decodable = decode_pictures(columns.pop('encoded'), None)
        batch = {'image': image, **columns}
        kept: Columns = tf.cond(
            tf.reduce_all(decodable),
            lambda: batch,
            lambda: {name: column[decodable] for name, column in batch.items()},
        )
        return kept

    batches = map_split(data, split, parse=parse, decode=decode, batch_size=batch_size)
    return batches.filter(lambda batch: tf.size(batch['label']) > 0)


def map_split(
    data: DataSet,
    split: str,
    *,
    parse: Map,
    decode: Map,
    batch_size: int,
    shard: tuple[int, int] = (1, 0),
) -> tf.data.Dataset:
    """Returns a split in the order of its shards, for examples of any kind.

    Args:
      data: A data set with the split.
      split: Name of the split.
      parse: Serialized records, string [R], to examples.
      decode: A batch of examples to the element that is wanted.
      batch_size: Examples in a batch.
      shard: Number of workers that share the batches, and the index of this one.
    """
    shards = tf.data.Dataset.from_tensor_slices(sources.shards(data, split))
    records = shards.flat_map(sources.reader(data, split))
    examples = records.batch(sources.PARSED_RECORDS).map(parse)
    batches = examples.rebatch(batch_size).shard(*shard)
    batches = batches.map(decode, num_parallel_calls=_parallel_decoders(), deterministic=True)
    return _prefetched(batches)


def _prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Reads ahead a fixed number of batches, without the autotuner.

    Its thread kept a worker that had lost its peer from ending (TensorFlow 2.21).
    """
    _free_iterators_at_exit()
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(PREFETCHED_BATCHES).with_options(options)


@functools.cache
def _free_iterators_at_exit() -> None:
    """Frees iterators in reference cycles while Python's threads still run.

    An iterator waits for its decoders when it is freed. Later in its exit, the interpreter ends
    every thread that wants to run Python, decoders too, and the process would wait forever.
    """
    atexit.register(gc.collect)


def _parallel_decoders() -> int:
    # AUTOTUNE used one of two cores: 6,400 pictures/s of 180x180 against 7,800 on a busy machine.
    return len(os.sched_getaffinity(0))
