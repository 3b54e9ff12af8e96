"""The format of a feature cache: its manifest options, its records, and which runs can read it.

A feature cache is a data set whose records hold features instead of pictures (docs/fusion.md). In
its manifest, `options.record` is `features` and `options.features` is a `FeatureSource`.

The record of a product is a `tf.Example`:

| feature | type | meaning |
|---|---|---|
| `image/features` | bytes [views] | float16 [d], little-endian, of each picture in source order |
| `image/class/label` | int64 [1] | as in the records of pictures |
| `product/id` | int64 [1] | as in the records of pictures |
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
from trainer.config import InputConfig, ModelConfig

RECORD = 'features'  # the kind of the records, beside those of `catalog.record`
FEATURES = 'image/features'
DTYPE = np.dtype('<f2')  # half the size of float32; the error is below 0.0005 of a value

# Fields that act after the features, or that no longer matter once these are computed.
_NOT_BACKBONE = frozenset({'fusion', 'last_layer', 'cosine_scale', 'dropout', 'weights'})

_MODEL = pydantic.TypeAdapter(ModelConfig)


@dataclass(frozen=True)
class FeatureSource:
    """The pictures and the backbone that features were computed from.

    Attributes:
      data_sha256: SHA-256 of the manifest of the data set with the pictures, in hex.
      model_sha256: SHA-256 of the backbone's weights, in hex; these are stored beside the features.
      model: The fields of `ModelConfig` that define the backbone.
      height: Height of the images that it took, in pixels.
      width: Width of the images that it took, in pixels.
      size: d, the number of features of a picture.
    """

    data_sha256: str
    model_sha256: str
    model: dict[str, Any]
    height: int
    width: int
    size: int


_SOURCE = pydantic.TypeAdapter(FeatureSource)


def backbone_fields(config: ModelConfig) -> dict[str, Any]:
    """Returns the fields that define the backbone."""
    document: dict[str, Any] = _MODEL.dump_python(config, mode='json')
    return {name: value for name, value in document.items() if name not in _NOT_BACKBONE}


def manifest_options(source: FeatureSource) -> dict[str, Any]:
    """Returns the options of a feature cache's manifest."""
    return {'record': RECORD, 'features': dataclasses.asdict(source)}


def is_feature_cache(manifest: Manifest) -> bool:
    """Returns whether a data set holds features instead of pictures."""
    return bool(manifest.options.get('record') == RECORD)


def feature_source(manifest: Manifest) -> FeatureSource:
    """Reads the source of the features from a feature cache's manifest.

    Raises:
      UserError: If a field is missing, unknown or of another type.
    """
    try:
        return _SOURCE.validate_python(manifest.options.get('features'))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = '.'.join(['options.features', *map(str, first['loc'])])
        raise UserError(
            f'manifest.json: {name} must be what trainer.features writes: {first["msg"]}; '
            'compute the features again'
        ) from error


def check(
    manifest: Manifest, model: ModelConfig, input_config: InputConfig, *, folder: str
) -> None:
    """Checks that the records of a data set are of the kind that a run reads.

    Raises:
      UserError: If they are pictures and the run reads features, or the other way round, or the
        features are of another backbone.
    """
    kind = manifest.options.get('record')
    if is_feature_cache(manifest) != input_config.features:
        raise UserError(
            f'{folder}: input.features is {input_config.features}, but the records are of kind '
            f'{kind!r}; python -m trainer.features computes features from pictures'
        )
    if is_feature_cache(manifest):
        _check_backbone(feature_source(manifest), model, input_config, folder=folder)
    elif model.fusion.is_on and kind != 'product':
        raise UserError(
            f'{folder}: model.fusion {model.fusion.name} needs one record per product, '
            f'got records of kind {kind!r}; shard the data with --record=product'
        )


def _check_backbone(
    source: FeatureSource, model: ModelConfig, input_config: InputConfig, *, folder: str
) -> None:
    made = {
        **{f'model.{name}': value for name, value in source.model.items()},
        'input.height': source.height,
        'input.width': source.width,
    }
    wanted = {
        **{f'model.{name}': value for name, value in backbone_fields(model).items()},
        'input.height': input_config.height,
        'input.width': input_config.width,
    }
    for name in made | wanted:
        if made.get(name) != wanted.get(name):
            raise UserError(
                f'{folder}: {name} must be that of the features, {made.get(name)!r}, got '
                f'{wanted.get(name)!r}'
            )


def shard_file(file: str) -> str:
    """Returns the name of the shard of features of a shard of pictures, compressed or not."""
    name = shards.parse(file)
    if name is None:
        raise UserError(f'{file}: must be named like a shard')
    return name.file()


def encode(features: npt.NDArray[np.float16], *, label: int, product_id: int) -> bytes:
    """Serializes the features of a product [views, d] as a tf.Example."""
    example = tf.train.Example()
    views = [view.astype(DTYPE).tobytes() for view in features]
    example.features.feature[FEATURES].bytes_list.value.extend(views)
    example.features.feature[record.LABEL].int64_list.value.append(label)
    example.features.feature[record.PRODUCT_ID].int64_list.value.append(product_id)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def decode(encoded: tf.Tensor, *, size: int) -> tf.Tensor:
    """Decodes the features of pictures: string [N] -> float32 [N, size]."""
    features = tf.ensure_shape(tf.io.decode_raw(encoded, tf.float16), [None, size])
    return tf.cast(features, tf.float32)
