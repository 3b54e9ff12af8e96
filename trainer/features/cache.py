"""Writes a feature cache: a data set of the same products, with features instead of pictures.

The shards have the names and the order of those of the pictures; the weights of the backbone are
stored beside them. `features.json` is written first and names the backbone and the data. A shard is
written atomically, so that a stopped job resumes with the next one; the manifest is written last.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import categories, manifest, record, storage
from catalog.errors import UserError
from catalog.formats import tfrecord
from catalog.manifest import Shard, Split
from catalog.process.progress import Progress
from trainer.config import InputConfig
from trainer.data import feature_shards
from trainer.data.batches import picture_batches
from trainer.data.data_set import DataSet
from trainer.data.feature_shards import FeatureSource
from trainer.distribution import replica_calls
from trainer.inference.runs import Member
from trainer.inference.scores import product_starts
from trainer.models import backbone_file
from trainer.models.model import feature_model
from trainer.undecodable.log import UndecodableLog

SOURCE_FILE = 'features.json'


@dataclass(frozen=True)
class _Job:
    compute: Callable[[tf.Tensor], tf.Tensor]
    input: InputConfig
    batch_size: int
    data: DataSet
    output: str


def write_cache(member: Member, data: DataSet, *, output: str) -> FeatureSource:
    """Writes the features of every labelled split of a data set, or those that are missing.

    Args:
      member: The model whose backbone computes them, and its config.
      data: A data set of pictures.
      output: A new folder, or one that was begun for the same backbone and data.

    Raises:
      UserError: If the folder holds something else, the data set is a feature cache, or a feature
        is too large for float16.
    """
    if feature_shards.is_feature_cache(data.manifest):
        raise UserError(f'{data.folder}: --data must hold pictures, got a feature cache')
    config = member.config
    backbone = feature_model(member.model)
    source = FeatureSource(
        data_sha256=data.digest,
        model_sha256=backbone_file.digest(backbone),
        model=feature_shards.backbone_fields(config.model),
        height=config.input.height,
        width=config.input.width,
        size=int(backbone.output.shape[-1]),
    )
    _claim(output, source)
    tree = storage.read_bytes(storage.join(data.folder, categories.FILE_NAME))
    storage.write_bytes(storage.join(output, categories.FILE_NAME), tree)
    backbone_file.save(backbone, output)
    splits = _write_splits(_Job(_compile(member), config.input, config.batch_size, data, output))
    options = feature_shards.manifest_options(source)
    manifest.write(dataclasses.replace(data.manifest, options=options, splits=splits), output)
    return source


def _claim(output: str, source: FeatureSource) -> None:
    path = storage.join(output, SOURCE_FILE)
    document = dataclasses.asdict(source)
    if not storage.exists(path):
        if others := storage.list_files(output):
            raise UserError(
                f'{output}: must be a new folder or a feature cache, got {others[0]}; take another '
                '--output'
            )
        storage.write_bytes(path, (json.dumps(document, indent=1) + '\n').encode())
        return
    before = json.loads(storage.read_bytes(path))
    for name, value in document.items():
        if before.get(name) != value:
            raise UserError(
                f'{output}: holds features with {name} {before.get(name)!r}, got {value!r}; '
                'take another --output'
            )


def _compile(member: Member) -> Callable[[tf.Tensor], tf.Tensor]:
    predictor = member.predictor()

    def compute(batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tf.cast(predictor.features(batch['image']), tf.float16)

    divided = replica_calls.divide(compute, member.strategy)
    return lambda images: divided({'image': images})


def _write_splits(job: _Job) -> dict[str, Split]:
    labelled = {
        name: split
        for name, split in job.data.manifest.splits.items()
        if any(split.records_per_class)
    }
    progress = Progress(
        'features', total=sum(split.pictures for split in labelled.values()), unit='picture'
    )
    pictures, splits = 0, {}
    for name, split in labelled.items():
        shards = []
        for shard in split.shards:
            shards.append(_write_shard(job, name, shard))
            pictures += shard.pictures
            progress.update(pictures)
        written = dataclasses.replace(split, shards=tuple(shards))
        is_complete = written.pictures == split.pictures
        splits[name] = written if is_complete else _count_classes(job, written)
    progress.close()
    return splits


def _count_classes(job: _Job, split: Split) -> Split:
    """Returns a split without undecodable pictures, with the counts of what was written."""
    counts = np.zeros([3, job.data.num_classes], np.int64)
    seen: set[int] = set()
    for shard in split.shards:
        records = _read_records(storage.read_bytes(storage.join(job.output, shard.file)))
        for label, product_id, views in records:
            counts[:, label] += (1, views, product_id not in seen)
            seen.add(product_id)
    per_record, per_picture, per_product = (tuple(row) for row in counts.tolist())
    return Split(split.shards, per_record, per_picture, per_product)


def _read_records(content: bytes) -> list[tuple[int, int, int]]:
    """Returns label, product id and number of views of each record of a shard."""
    if not content:
        return []
    features = {
        feature_shards.FEATURES: tf.io.RaggedFeature(tf.string),
        record.LABEL: tf.io.FixedLenFeature([], tf.int64),
        record.PRODUCT_ID: tf.io.FixedLenFeature([], tf.int64),
    }
    parsed = tf.io.parse_example(list(tfrecord.read(io.BytesIO(content))), features)
    columns = (
        parsed[record.LABEL],
        parsed[record.PRODUCT_ID],
        parsed[feature_shards.FEATURES].row_lengths(),
    )
    return list(zip(*(column.numpy().tolist() for column in columns), strict=True))


def _write_shard(job: _Job, split: str, shard: Shard) -> Shard:
    """Writes the features of one shard, unless it exists. Undecodable pictures are left out."""
    file = feature_shards.shard_file(shard.file)
    path = storage.join(job.output, file)
    if storage.exists(path):
        content = storage.read_bytes(path)
    else:
        undecodable = UndecodableLog([storage.join(job.data.folder, shard.file)])
        records = _records(
            job, _single_shard(job.data, split, shard), split=split, undecodable=undecodable
        )
        undecodable.report()
        if len(records) != shard.records and not undecodable.places:
            raise UserError(
                f'{job.data.folder}: the pictures of a product must be adjacent in {shard.file}, '
                f'which has {shard.records} records by its manifest, got {len(records)}'
            )
        content = tfrecord.frames(records)
        storage.write_bytes(path, content)
    views = [views for _, _, views in _read_records(content)]
    sha256 = hashlib.sha256(content).hexdigest()
    return Shard(file, len(views), sum(views), len(content), sha256)


def _single_shard(data: DataSet, split: str, shard: Shard) -> DataSet:
    """Returns the data set reduced to one shard."""
    reduced = dataclasses.replace(data.split(split), shards=(shard,))
    return dataclasses.replace(
        data, manifest=dataclasses.replace(data.manifest, splits={split: reduced})
    )


def _records(job: _Job, data: DataSet, *, split: str, undecodable: UndecodableLog) -> list[bytes]:
    pictures = picture_batches(
        data, split, job.input, batch_size=job.batch_size, undecodable=undecodable
    )
    batches = [
        {
            'features': _check_finite(job.compute(batch['image']).numpy(), data),
            **{name: batch[name].numpy() for name in ('label', 'product_id', 'index')},
        }
        for batch in pictures
    ]
    if not batches:
        return []
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    starts = product_starts(columns['product_id'], columns['index'])
    return [
        feature_shards.encode(
            views, label=int(columns['label'][start]), product_id=int(columns['product_id'][start])
        )
        for start, views in zip(starts, np.split(columns['features'], starts[1:]), strict=True)
    ]


def _check_finite(features: npt.NDArray[np.float16], data: DataSet) -> npt.NDArray[np.float16]:
    if not np.isfinite(features).all():
        raise UserError(
            f'{data.folder}: features must be finite and below 65,504 to be stored as float16, '
            'some are not'
        )
    return features
