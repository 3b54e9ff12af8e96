"""Where the records of training come from: the shards, or the memory of a set that is small.

Both give the same records in the same order; a picture is its bytes for the one and its number,
from 1, for the other, until it is decoded.
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
from trainer.config import InputConfig, TrainConfig
from trainer.data import data_set, feature_shards
from trainer.data import feature_shards as feature_source
from trainer.data import progressive_resizing as sizes
from trainer.data.data_set import DataSet

Columns = dict[str, Any]

_BAD_INPUT = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,  # a shard with fewer records than it should have
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
)
UNLABELLED = -1
PARSED_RECORDS = 1024  # at a time

_DECODED_PICTURES = 256  # at a time
_LARGEST_CACHE = 0.5  # of the machine's memory


@dataclass(frozen=True)
class Source:
    """Records, and how to come from them to pictures, or to features in their place.

    Attributes:
      parts: of each shard what `read` takes: tensors [S].
      read: the records of a shard in turn.
      parse: many of them to columns: `encoded`, ragged [R, (views)], `label` and `product_id`,
        int64 [R].
      decode: `encoded` [N] of a step, int64 [], to pictures uint8 [N, h, w, 3] or features [N, d].

    Where there is no picture, `encoded` may be filled up with the zero of its type.
    """

    parts: tuple[tf.Tensor, ...]
    read: Callable[..., tf.data.Dataset]
    parse: Callable[[tf.Tensor], Columns]
    decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def of_train(data: DataSet, config: TrainConfig) -> Source:
    """The train split as the config asks for it.

    Raises:
      UserError: if it should lie in memory and is too large.
    """
    if config.input.cache:
        return _memory(data, config.input)
    return Source(
        parts=shards(data, 'train'),
        read=reader(data, 'train'),
        parse=parser(config.input),
        decode=decoder(data, config.input),
    )


def decoder(data: DataSet, config: InputConfig) -> Callable[..., tf.Tensor]:
    """A function of `encoded` [N] and the step, None for evaluation, to pictures or features."""
    if not config.features:
        return lambda encoded, step: sizes.decode(encoded, config, step=step)
    size = feature_source.of(data.manifest).size
    return lambda encoded, step: feature_shards.decode(encoded, size=size)


def shards(data: DataSet, split: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The paths and the numbers of records of a split's shards: string [S], int64 [S]."""
    records = [shard.records for shard in data.split(split).shards]
    return tf.constant(data.paths(split), tf.string), tf.constant(records, tf.int64)


def reader(data: DataSet, split: str) -> Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]:
    """A function of a shard's path and number of records, to these, serialized."""
    paths = data.paths(split)
    compression = 'GZIP' if paths and paths[0].endswith('.gz') else ''

    def read(path: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        # One that was cut between two records would end like a whole one.
        found = tf.data.TFRecordDataset(path, compression_type=compression)
        return found.apply(tf.data.experimental.assert_cardinality(records))

    return read


def parser(
    config: InputConfig, more: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[tf.Tensor], Columns]:
    """A function from records, string [R], to columns: those of `Source`, and those of `more`.

    Product records and picture records alike: a scalar feature is a list of one.
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


def _memory(data: DataSet, config: InputConfig) -> Source:
    """All pictures decoded, all columns, and where the records of each shard begin."""
    _check_memory(data, config)
    columns, images = _read_all(data, config)
    _, records = shards(data, 'train')
    ends = tf.cumsum(records)
    views = tf.cumsum(columns['views'])

    def rows(numbers: tf.Tensor) -> Columns:
        limits = tf.gather(views, numbers)
        starts = limits - tf.gather(columns['views'], numbers)
        found = {name: tf.gather(columns[name], numbers) for name in ('label', 'product_id')}
        return {'encoded': tf.ragged.range(starts + 1, limits + 1), **found}

    return Source(
        parts=(ends - records, ends),
        read=tf.data.Dataset.range,
        parse=rows,
        decode=lambda numbers, step: tf.gather(images, numbers - 1),
    )


def _check_memory(data: DataSet, config: InputConfig) -> None:
    needed = data.split('train').pictures * config.height * config.width * 3
    there = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > _LARGEST_CACHE * there:
        raise UserError(
            f'input.cache must take at most half of the {there / 1e9:.1f} GB of this machine, got '
            f'{needed / 1e9:.1f} GB of pictures; leave it off'
        )


def _read_all(data: DataSet, config: InputConfig) -> tuple[Columns, tf.Tensor]:
    """`label`, `product_id`, `views` int64 [R], and the pictures uint8 [P, H, W, 3], in order."""
    records = tf.data.Dataset.from_tensor_slices(shards(data, 'train'))
    blocks = records.flat_map(reader(data, 'train')).batch(PARSED_RECORDS).map(parser(config))
    parsed = [
        (block['label'], block['product_id'], block['encoded'].row_lengths()) for block in blocks
    ]
    columns = [np.concatenate(column) for column in zip(*parsed, strict=True)]
    encoded = blocks.map(lambda block: block['encoded'].flat_values).rebatch(_DECODED_PICTURES)
    decoded = encoded.map(
        lambda pictures: sizes.decode(pictures, config, step=None),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    count = data.split('train').pictures
    images = np.empty([count, config.height, config.width, 3], np.uint8)
    first = 0
    for batch in decoded.as_numpy_iterator():
        images[first : first + len(batch)] = batch
        first += len(batch)
    names = ('label', 'product_id', 'views')
    return dict(zip(names, map(tf.constant, columns), strict=True)), tf.constant(images)


@contextlib.contextmanager
def damaged_input_is_named(data: DataSet, *, split: str) -> Iterator[None]:
    """Turns what TensorFlow raises for a bad shard or picture into one line.

    Raises:
      UserError: naming the shard.
    """
    try:
        yield
    except _BAD_INPUT as error:
        # The reader does not say which file it was in: the digests do. If all are right, the fault
        # is not the data's.
        manifest.check_files(data.folder, data.split(split))
        data_set.check_digests(data.folder, data.split(split).shards)
        if not re.search(r'\bDecode', error.message):  # the node that failed
            raise
        raise UserError(
            f'{data.folder}: every picture of the {split} split must be decodable, one is not, '
            'though the shards are whole: the shard job let it pass'
        ) from error
