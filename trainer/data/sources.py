"""Where training reads records from: the shards, or a decoded copy of a small set in memory.

Both give the same records in the same order. Until it is decoded, a picture is its bytes in the
first case and its number, from 1, in the second.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from catalog import manifest, record
from catalog.errors import UserError
from trainer.config import InputConfig
from trainer.data import data_set, feature_shards, progressive_resizing
from trainer.data.data_set import DataSet
from trainer.data.preprocess import Decoded
from trainer.undecodable.log import UndecodableLog

Columns = dict[str, Any]

UNLABELLED = -1
PARSED_RECORDS = 1024  # at a time

_DECODED_PICTURES = 256  # at a time
_MAX_MEMORY_SHARE = 0.5  # of the machine, for a cached set
_BAD_INPUT = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,  # a shard with fewer records than the manifest has
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
)


@dataclass(frozen=True)
class Source:
    """Records, and functions that turn them into images or features.

    Attributes:
      records: Records of each shard, int64 [S].
      read: Returns a piece of a shard, from its index, its first record and the one after its last.
      parse: Parses records to columns: `encoded`, ragged [R, (views)], `label` and `product_id`,
        int64 [R].
      decode: Decodes `encoded` [N] for a step, int64 [], to images uint8 [N, h, w, 3] or features
        float32 [N, d], and to whether each picture is decodable, bool [N].

    `encoded` is padded with the zero of its dtype.
    """

    records: tf.Tensor
    read: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.data.Dataset]
    parse: Callable[[tf.Tensor], Columns]
    decode: Callable[[tf.Tensor, tf.Tensor], Decoded]


def train_source(
    data: DataSet, config: InputConfig, *, undecodable: UndecodableLog | None = None
) -> Source:
    """Returns the source of the train split, which adds undecodable pictures to a log.

    Raises:
      UserError: If it is to be cached in memory and is too large.
    """
    if config.cache:
        return _memory(data, config, undecodable)
    paths, records = shards(data, 'train')
    read_shard = reader(data, 'train')

    def read(shard: tf.Tensor, first: tf.Tensor, end: tf.Tensor) -> tf.data.Dataset:
        count = records[shard]
        # To the end of the file, so that a shard with more records than in the manifest is noticed.
        is_last = (end == count) & (end > first)
        taken = tf.where(is_last, tf.constant(-1, tf.int64), end - first)
        return read_shard(paths[shard], count).skip(first).take(taken)

    return Source(
        records=records,
        read=read,
        parse=parser(config),
        decode=decoder(data, config, undecodable=undecodable),
    )


def decoder(
    data: DataSet, config: InputConfig, *, undecodable: UndecodableLog | None = None
) -> Callable[..., Decoded]:
    """Returns the function `Source.decode`; without a step (None) it decodes to the last size."""
    if not config.features:
        return picture_decoder(config, undecodable=undecodable)
    size = feature_shards.feature_source(data.manifest).size
    return lambda encoded, step: (
        feature_shards.decode(encoded, size=size),
        tf.ones(tf.shape(encoded), tf.bool),
    )


def picture_decoder(
    config: InputConfig, *, undecodable: UndecodableLog | None = None
) -> Callable[..., Decoded]:
    """Returns the function `Source.decode` for pictures, also if the run learns from features."""

    def decode(encoded: tf.Tensor, step: tf.Tensor | None) -> Decoded:
        images, decodable = progressive_resizing.decode(encoded, config, step=step)
        return images, undecodable.observe(encoded, decodable) if undecodable else decodable

    return decode


def shards(data: DataSet, split: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the paths and record counts of a split's shards: string [S], int64 [S]."""
    records = [shard.records for shard in data.split(split).shards]
    return tf.constant(data.paths(split), tf.string), tf.constant(records, tf.int64)


def reader(data: DataSet, split: str) -> Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]:
    """Returns a function from a shard's path and record count to its serialized records."""
    paths = data.paths(split)
    compression = 'GZIP' if paths and paths[0].endswith('.gz') else ''

    def read(path: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        # A shard that is cut between two records has no other sign of damage than its length.
        dataset = tf.data.TFRecordDataset(path, compression_type=compression)
        return dataset.apply(tf.data.experimental.assert_cardinality(records))

    return read


def parser(
    config: InputConfig, more: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[tf.Tensor], Columns]:
    """Returns a function from records, string [R], to the columns of `Source` and those of `more`.

    It parses product records and picture records: a scalar feature is a list of one.
    """
    views = feature_shards.FEATURES if config.features else record.ENCODED
    features = {
        views: tf.io.RaggedFeature(tf.string),
        record.LABEL: tf.io.FixedLenFeature([], tf.int64, default_value=UNLABELLED),
        record.PRODUCT_ID: tf.io.FixedLenFeature([], tf.int64),
        **more,
    }

    def parse(serialized: tf.Tensor) -> Columns:
        parsed = tf.io.parse_example(serialized, features)
        return {
            'encoded': parsed[views],
            'label': parsed[record.LABEL],
            'product_id': parsed[record.PRODUCT_ID],
            **{name: parsed[name] for name in more},
        }

    return parse


def _memory(data: DataSet, config: InputConfig, undecodable: UndecodableLog | None) -> Source:
    """Reads the train split into memory: decoded images, columns, bounds of the shards."""
    _check_memory(data, config)
    columns, images, decodable = _read_all(data, config, undecodable)
    _, records = shards(data, 'train')
    starts_of_shards = tf.cumsum(records, exclusive=True)
    views = tf.cumsum(columns['views'])

    def read(shard: tf.Tensor, first: tf.Tensor, end: tf.Tensor) -> tf.data.Dataset:
        start = starts_of_shards[shard]
        return tf.data.Dataset.range(start + first, start + end)

    def rows(numbers: tf.Tensor) -> Columns:
        limits = tf.gather(views, numbers)
        starts = limits - tf.gather(columns['views'], numbers)
        others = {name: tf.gather(columns[name], numbers) for name in ('label', 'product_id')}
        return {'encoded': tf.ragged.range(starts + 1, limits + 1), **others}

    return Source(
        records=records,
        read=read,
        parse=rows,
        decode=lambda numbers, step: (
            tf.gather(images, numbers - 1),
            tf.gather(decodable, numbers - 1),
        ),
    )


def _check_memory(data: DataSet, config: InputConfig) -> None:
    needed = data.split('train').pictures * config.height * config.width * 3
    installed = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > _MAX_MEMORY_SHARE * installed:
        raise UserError(
            f'input.cache must take at most half of the {installed / 1e9:.1f} GB of memory of this '
            f'machine, got {needed / 1e9:.1f} GB of images; set input.cache=false'
        )


def _read_all(
    data: DataSet, config: InputConfig, undecodable: UndecodableLog | None
) -> tuple[Columns, tf.Tensor, tf.Tensor]:
    """Returns the records and pictures in order.

    Returns:
      `label`, `product_id`, `views` int64 [R]; images uint8 [P, H, W, 3]; whether they are
      decodable, bool [P].
    """
    records = tf.data.Dataset.from_tensor_slices(shards(data, 'train'))
    blocks = records.flat_map(reader(data, 'train')).batch(PARSED_RECORDS).map(parser(config))
    parsed = [
        (block['label'], block['product_id'], block['encoded'].row_lengths()) for block in blocks
    ]
    columns = [np.concatenate(column) for column in zip(*parsed, strict=True)]
    encoded = blocks.map(lambda block: block['encoded'].flat_values).rebatch(_DECODED_PICTURES)
    decode = picture_decoder(config, undecodable=undecodable)
    decoded = encoded.map(
        lambda pictures: decode(pictures, None), num_parallel_calls=tf.data.AUTOTUNE
    )
    count = data.split('train').pictures
    images = np.empty([count, config.height, config.width, 3], np.uint8)
    are_decodable = np.ones(count, np.bool_)
    first = 0
    for batch, flags in decoded.as_numpy_iterator():
        images[first : first + len(batch)] = batch
        are_decodable[first : first + len(batch)] = flags
        first += len(batch)
    names = ('label', 'product_id', 'views')
    by_name = dict(zip(names, map(tf.constant, columns), strict=True))
    return by_name, tf.constant(images), tf.constant(are_decodable)


@contextlib.contextmanager
def input_errors_named(data: DataSet, *, split: str) -> Iterator[None]:
    """Turns the error that TensorFlow raises for a damaged shard or picture into one line.

    Raises:
      UserError: Naming the shard.
    """
    try:
        yield
    except _BAD_INPUT as error:
        # TensorFlow's error does not name the file; the digests do. If all of them match, the fault
        # is not in the data.
        manifest.check_files(data.folder, data.split(split))
        data_set.check_digests(data.folder, data.split(split).shards)
        if not re.search(r'\b(Decode|StringToNumber)', error.message):  # the node that failed
            raise
        raise UserError(
            f'{data.folder}: every picture of the {split} split must be decodable with '
            'input.decoder=tensorflow, one is not; --config.input.decoder=simplejpeg gives the '
            'same batches, passes over such pictures and names them'
        ) from error
