"""Writes a feature cache: a data set of the same products, with features for pictures.

Beside the shards, which have the names and the order of those of the pictures, lie the weights of
the backbone. `features.json` is written first and says what the features are of; a shard appears
whole, so that a stopped job goes on with the next one; the manifest is written last.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import categories, manifest, storage
from catalog.errors import UserError
from catalog.formats import tfrecord
from catalog.manifest import Shard, Split
from catalog.process.progress import Progress
from trainer.config import TrainConfig
from trainer.data import feature_shards, input_pipeline, preprocess
from trainer.data import feature_shards as feature_source
from trainer.data.data_set import DataSet
from trainer.data.feature_shards import FeatureSource
from trainer.inference.scores import product_starts
from trainer.models import backbone_file
from trainer.models import model as models

CLAIM = 'features.json'

Backbone = Callable[[tf.Tensor], tf.Tensor]


def write(model: keras.Model, config: TrainConfig, data: DataSet, *, output: str) -> FeatureSource:
    """Writes the features of every labelled split of a data set, or what is missing of them.

    Args:
      model: whose backbone makes them; it may fuse views or not.
      config: of its run.
      data: of pictures.
      output: a new folder, or one that was begun for the same backbone and data.

    Raises:
      UserError: if the folder holds something else, the data are no pictures, or a feature is too
        large for float16.
    """
    if data.manifest.options.get('record') == feature_source.RECORD:
        raise UserError(f'{data.folder}: --data must hold pictures, these are features')
    backbone = models.feature_model(model)
    source = FeatureSource(
        data_sha256=data.digest,
        model_sha256=backbone_file.digest(backbone),
        model=feature_source.backbone_fields(config.model),
        height=config.input.height,
        width=config.input.width,
        size=int(backbone.output.shape[-1]),
    )
    _claim(output, source)
    tree = storage.read_bytes(storage.join(data.folder, categories.FILE_NAME))
    storage.write_bytes(storage.join(output, categories.FILE_NAME), tree)
    backbone_file.save(backbone, output)
    splits = _write_splits(_compiled(backbone, config), config, data, output=output)
    manifest.write(
        dataclasses.replace(data.manifest, options=feature_source.options(source), splits=splits),
        output,
    )
    return source


def _claim(output: str, source: FeatureSource) -> None:
    path = storage.join(output, CLAIM)
    document = dataclasses.asdict(source)
    if not storage.exists(path):
        if others := storage.list_files(output):
            raise UserError(
                f'{output}: must be new, or a feature cache, got {others[0]}; take another --output'
            )
        storage.write_bytes(path, (json.dumps(document, indent=1) + '\n').encode())
        return
    before = json.loads(storage.read_bytes(path))
    for name, value in document.items():
        if before.get(name) != value:
            raise UserError(
                f'{output}: holds features whose {name} is {before.get(name)!r}, got {value!r}; '
                'take another --output'
            )


def _compiled(backbone: keras.Model, config: TrainConfig) -> Backbone:
    def run(images: tf.Tensor) -> tf.Tensor:
        features = backbone(preprocess.normalize(images, config.model), training=False)
        return tf.cast(features, tf.float16)

    compiled: Backbone = tf.function(run, autograph=False, reduce_retracing=True)
    return compiled


def _write_splits(
    backbone: Backbone, config: TrainConfig, data: DataSet, *, output: str
) -> dict[str, Split]:
    labelled = {
        name: split for name, split in data.manifest.splits.items() if any(split.records_per_class)
    }
    progress = Progress(
        'features', total=sum(split.pictures for split in labelled.values()), unit='picture'
    )
    done, splits = 0, {}
    for name, split in labelled.items():
        shards = []
        for shard in split.shards:
            shards.append(_write_shard(backbone, config, data, (name, shard), output=output))
            done += shard.pictures
            progress.update(done)
        splits[name] = dataclasses.replace(split, shards=tuple(shards))
    progress.close()
    return splits


def _write_shard(
    backbone: Backbone,
    config: TrainConfig,
    data: DataSet,
    place: tuple[str, Shard],
    *,
    output: str,
) -> Shard:
    """Writes the features of one shard, or finds them there."""
    split, shard = place
    file = feature_source.shard_file(shard.file)
    path = storage.join(output, file)
    if storage.exists(path):
        written = storage.read_bytes(path)
    else:
        records = _records(backbone, config, _one_shard(data, split, shard), split=split)
        if len(records) != shard.records:
            raise UserError(
                f'{data.folder}: the pictures of a product must lie together in {shard.file}, '
                f'which has {shard.records} records by the manifest, got {len(records)}'
            )
        written = tfrecord.frames(records)
        storage.write_bytes(path, written)
    sha256 = hashlib.sha256(written).hexdigest()
    return Shard(file, shard.records, shard.pictures, len(written), sha256)


def _one_shard(data: DataSet, split: str, shard: Shard) -> DataSet:
    """The data set as if it had but this shard."""
    only = dataclasses.replace(data.split(split), shards=(shard,))
    return dataclasses.replace(
        data, manifest=dataclasses.replace(data.manifest, splits={split: only})
    )


def _records(backbone: Backbone, config: TrainConfig, data: DataSet, *, split: str) -> list[bytes]:
    batches = [
        {
            'features': _finite(backbone(batch['image']).numpy(), data),
            **{name: batch[name].numpy() for name in ('label', 'product_id', 'index')},
        }
        for batch in input_pipeline.evaluation_batches(data, split, config)
    ]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    starts = product_starts(columns['product_id'], columns['index'])
    return [
        feature_shards.encode(
            views, label=int(columns['label'][start]), product_id=int(columns['product_id'][start])
        )
        for start, views in zip(starts, np.split(columns['features'], starts[1:]), strict=True)
    ]


def _finite(features: npt.NDArray[np.float16], data: DataSet) -> npt.NDArray[np.float16]:
    if not np.isfinite(features).all():
        raise UserError(
            f'{data.folder}: features must be numbers below 65,504 to be kept as float16, some are '
            'not'
        )
    return features
