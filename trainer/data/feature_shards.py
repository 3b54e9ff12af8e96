"""What the features of a cache are of, and whether a run fits them. No TensorFlow.

A cache is a data set whose records hold features in the place of pictures (docs/fusion.md). Its
manifest says so in `options.record`, and what of in `options.features`.

The record of a product's features: a `tf.Example` in a shard of a feature cache.

| feature | type | meaning |
|---|---|---|
| `image/features` | bytes [views] | float16 [d], little-endian, of each picture in source order |
| `image/class/label` | int64 [1] | as in the records of pictures |
| `product/id` | int64 [1] | likewise |
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic
import tensorflow as tf

from catalog import record, shards
from catalog.errors import UserError
from catalog.manifest import Manifest
from trainer.config import TrainConfig
from trainer.config.model import ModelConfig

RECORD = 'features'  # the kind of the records, beside those of `catalog.record`

# What lies behind the features, or is over when they are made.
_FREE = frozenset({'fusion', 'last_layer', 'cosine_scale', 'dropout', 'weights'})

_MODEL = pydantic.TypeAdapter(ModelConfig)


@dataclass(frozen=True)
class FeatureSource:
    """What features are of.

    Attributes:
      data_sha256: of the manifest of the data set with the pictures, in hex.
      model_sha256: of the backbone's weights, in hex; they lie beside the features.
      model: the fields of `ModelConfig` that make the backbone.
      height: of the pictures that it took, in pixels.
      width: likewise.
      size: d, of the features of a picture.
    """

    data_sha256: str
    model_sha256: str
    model: dict[str, Any]
    height: int
    width: int
    size: int


def backbone_fields(config: ModelConfig) -> dict[str, Any]:
    """The fields that make the backbone."""
    document: dict[str, Any] = _MODEL.dump_python(config, mode='json')
    return {name: value for name, value in document.items() if name not in _FREE}


def options(source: FeatureSource) -> dict[str, Any]:
    """The options of a cache's manifest."""
    return {'record': RECORD, 'features': dataclasses.asdict(source)}


def of(manifest: Manifest) -> FeatureSource:
    """What a cache's manifest says."""
    return FeatureSource(**manifest.options['features'])


def check(manifest: Manifest, config: TrainConfig, *, folder: str) -> None:
    """Checks that a run learns from what a data set's records hold.

    Raises:
      UserError: naming what the run asks for and what came.
    """
    kind = manifest.options.get('record')
    if (kind == RECORD) != config.input.features:
        raise UserError(
            f'{folder}: input.features is {config.input.features}, but the records are of kind '
            f'{kind!r}; python -m trainer.features makes features of pictures'
        )
    if kind == RECORD:
        _check_backbone(of(manifest), config, folder=folder)
    elif config.model.fusion.is_on and kind != 'product':
        raise UserError(
            f'{folder}: model.fusion {config.model.fusion.name} needs records of whole products, '
            f'these are of kind {kind!r}; make the data set with --record=product'
        )


def _check_backbone(source: FeatureSource, config: TrainConfig, *, folder: str) -> None:
    made = {
        **{f'model.{name}': value for name, value in source.model.items()},
        'input.height': source.height,
        'input.width': source.width,
    }
    wanted = {
        **{f'model.{name}': value for name, value in backbone_fields(config.model).items()},
        'input.height': config.input.height,
        'input.width': config.input.width,
    }
    for name in made | wanted:
        if made.get(name) != wanted.get(name):
            raise UserError(
                f'{folder}: {name} must be that of its features, {made.get(name)!r}, got '
                f'{wanted.get(name)!r}'
            )


def shard_file(file: str) -> str:
    """The name of the shard of features of a shard of pictures, which may be compressed."""
    name = shards.parse(file)
    if name is None:
        raise UserError(f'{file}: must be named like a shard')
    return name.file()


FEATURES = 'image/features'
DTYPE = np.dtype('<f2')  # half the room of float32; what is lost is below 0.0005 of a value


def encode(features: npt.NDArray[np.float16], *, label: int, product_id: int) -> bytes:
    """A product's features [views, d] as a serialized tf.Example."""
    example = tf.train.Example()
    views = [view.astype(DTYPE).tobytes() for view in features]
    example.features.feature[FEATURES].bytes_list.value.extend(views)
    example.features.feature[record.LABEL].int64_list.value.append(label)
    example.features.feature[record.PRODUCT_ID].int64_list.value.append(product_id)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def decode(encoded: tf.Tensor, *, size: int) -> tf.Tensor:
    """The features of pictures: string [N] -> float32 [N, size]."""
    features = tf.ensure_shape(tf.io.decode_raw(encoded, tf.float16), [None, size])
    return tf.cast(features, tf.float32)
