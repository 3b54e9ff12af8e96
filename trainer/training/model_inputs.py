"""From a batch to what the model takes: the real views of products, augmented and normalised.

A batch is of pictures {'image' [B, H, W, 3]}, or of products {'image' [B, V, H, W, 3], 'mask'
[B, V]}, or of products whose views are features already, {'features' [B, V, d], 'mask' [B, V]};
see `input_pipeline` and `product_pipeline`.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from trainer.augmentation import random_numbers
from trainer.augmentation.mixing import mix
from trainer.augmentation.pictures import augment
from trainer.config import TrainConfig
from trainer.data import preprocess
from trainer.losses.objective import MixedLabels
from trainer.models import model as models

Batch = dict[str, tf.Tensor]

_OF_MODEL = ('image', 'features', 'mask')


def of_model(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a batch, or its specification, holds for the model."""
    return {name: value for name, value in batch.items() if name in _OF_MODEL}


def network(model: keras.Model, config: TrainConfig) -> keras.Model:
    """What takes the inputs below: the model, or of features what is behind its backbone."""
    return models.head_model(model) if config.input.features else model


def draw(config: TrainConfig, *, seed: tf.Tensor) -> tf.Tensor:
    """The draws for each picture of a batch: float32 [B, n], or of products [B, V, n]."""
    count, fusion = config.batch_size, config.model.fusion
    if not fusion.is_on:
        return random_numbers.draw(count, seed=seed, config=config.augment)
    drawn = random_numbers.draw(count * fusion.max_views, seed=seed, config=config.augment)
    return tf.reshape(drawn, [count, fusion.max_views, drawn.shape[1]])


def augmented(batch: Batch, drawn: tf.Tensor, config: TrainConfig) -> Batch:
    """A batch with each picture varied by its own numbers, `drawn` by `draw`.

    Masked places too: their number is known beforehand, so XLA can do it, which is quicker.
    """
    if config.input.features:
        return batch
    images = batch['image']
    pictures = tf.reshape(images, [-1, *images.shape[-3:]])
    numbers = tf.reshape(drawn, [tf.shape(pictures)[0], drawn.shape[-1]])
    varied = augment(pictures, numbers, config.augment)
    return {**batch, 'image': tf.reshape(varied, images.shape)}


def training_pictures(
    batch: Batch, drawn: tf.Tensor, config: TrainConfig
) -> tuple[tf.Tensor, MixedLabels]:
    """The pictures of a batch that is `augmented`, mixed if the config says so, and their labels.

    Args:
      batch: of examples.
      drawn: for them, by `draw`.
      config: of the run; where it fuses views, it mixes no pictures.
    """
    return mix(_computed(batch, config), batch['label'], drawn, config.augment)


def normal(images: tf.Tensor, batch: Batch, config: TrainConfig) -> Any:
    """What the model takes of `training_pictures`."""
    if not config.input.features:
        images = preprocess.normalize(images, config.model)
    return [images, batch['mask']] if 'mask' in batch else images


def inputs(batch: Batch, config: TrainConfig) -> Any:
    """What the model takes of a batch to answer."""
    return normal(_computed(batch, config), batch, config)


def _computed(batch: Batch, config: TrainConfig) -> tf.Tensor:
    """The pictures of a batch, or their features; of products in a row, those that are computed.

    Those are the real views: [B, V, …] -> [N, …]. The others cost nothing and do not count in batch
    norm. But XLA compiles a program for each shape: there all places are computed, and the fusion
    passes over some.
    """
    values = batch['features' if config.input.features else 'image']
    if 'mask' not in batch:
        return values
    if config.step.xla or config.strategy == 'tpu':
        return tf.reshape(values, [-1, *values.shape[2:]])
    return tf.boolean_mask(values, batch['mask'])
