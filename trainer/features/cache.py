"""Writes a feature cache: a data set of the same products, with features instead of pictures.

The shards have the names and the order of those of the pictures; the weights of the backbone are
stored beside them. `features.json` is written first and names the backbone and the data. A shard is
written atomically, so that a stopped job resumes with the next one; the manifest is written last.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import categories, manifest, storage
from catalog.errors import UserError
from catalog.formats import tfrecord
from catalog.manifest import Shard, Split
from catalog.process.progress import Progress
from trainer.config import InputConfig
from trainer.data import feature_shards
from trainer.data.batches import picture_batches
from trainer.data.data_set import DataSet
from trainer.data.feature_shards import FeatureSource
from trainer.inference.runs import Member
from trainer.inference.scores import product_starts
from trainer.models import backbone_file
from trainer.models.model import feature_model

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

    def compute(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(predictor.features(images), tf.float16)

    compiled: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        compute, autograph=False, reduce_retracing=True
    )
    return compiled


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
        splits[name] = dataclasses.replace(split, shards=tuple(shards))
    progress.close()
    return splits


def _write_shard(job: _Job, split: str, shard: Shard) -> Shard:
    """Writes the features of one shard, unless it exists."""
    file = feature_shards.shard_file(shard.file)
    path = storage.join(job.output, file)
    if storage.exists(path):
        content = storage.read_bytes(path)
    else:
        records = _records(job, _single_shard(job.data, split, shard), split=split)
        if len(records) != shard.records:
            raise UserError(
                f'{job.data.folder}: the pictures of a product must be adjacent in {shard.file}, '
                f'which has {shard.records} records by its manifest, got {len(records)}'
            )
        content = tfrecord.frames(records)
        storage.write_bytes(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Shard(file, shard.records, shard.pictures, len(content), sha256)


def _single_shard(data: DataSet, split: str, shard: Shard) -> DataSet:
    """Returns the data set reduced to one shard."""
    reduced = dataclasses.replace(data.split(split), shards=(shard,))
    return dataclasses.replace(
        data, manifest=dataclasses.replace(data.manifest, splits={split: reduced})
    )


def _records(job: _Job, data: DataSet, *, split: str) -> list[bytes]:
    batches = [
        {
            'features': _check_finite(job.compute(batch['image']).numpy(), data),
            **{name: batch[name].numpy() for name in ('label', 'product_id', 'index')},
        }
        for batch in picture_batches(data, split, job.input, batch_size=job.batch_size)
    ]
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
