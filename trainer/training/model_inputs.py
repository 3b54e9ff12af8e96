"""From a batch to the inputs of the network: real views, augmented, mixed and normalized."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainer.augmentation import random_numbers
from trainer.augmentation.mixing import mix
from trainer.augmentation.pictures import augment
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.data import preprocess
from trainer.data.examples import ExampleSpec, example_spec
from trainer.losses.objective import MixedLabels
from trainer.models import model as models

Batch = dict[str, tf.Tensor]

_UNUSED = ('label', 'undecodable')  # by the network


@dataclass(frozen=True)
class ModelInputs:
    """Turns batches of `data.batches` into what the network takes.

    Attributes:
      example: What an example is.
      model: The network, for its normalization.
      augment: The augmentation of training.
      size: Height and width of the images that the network takes.
      pads_views: Whether the masked places of products are computed too, which gives fixed shapes.
    """

    example: ExampleSpec
    model: ModelConfig
    augment: AugmentConfig
    size: tuple[int, int]
    pads_views: bool

    def network(self, model: keras.Model) -> keras.Model:
        """Returns the part of a model that takes these inputs: for cached features, the head."""
        return models.head_model(model) if self.example.is_cached else model

    def picture_counts(self, batch: Batch) -> tf.Tensor:
        """Returns the numbers of pictures and of undecodable ones in a batch, int64 [2].

        Only the views that the model can see count.
        """
        unlabelled = tf.math.count_nonzero(batch['label'] < 0)
        if not self.example.is_product:
            return tf.stack([tf.size(batch['label'], tf.int64), unlabelled])
        undecodable = tf.reduce_sum(batch['undecodable'])
        # A product without a decodable view has one in the mask.
        decodable = tf.math.count_nonzero(batch['mask']) - unlabelled
        return tf.stack([decodable + undecodable, undecodable])

    def draw(self, count: int, *, seed: tf.Tensor) -> tf.Tensor:
        """Draws the random numbers of augmentation for `count` examples.

        Returns:
          float32 [count, n] for pictures, [count, V, n] for products.
        """
        numbers = random_numbers.draw(count * self.example.views, seed=seed, config=self.augment)
        if not self.example.is_product:
            return numbers
        return tf.reshape(numbers, [count, self.example.views, numbers.shape[1]])

    def augmented(self, batch: Batch, numbers: tf.Tensor) -> Batch:
        """Returns a batch with each image augmented by its own numbers, drawn by `draw`.

        Masked places are augmented too: their number is fixed, so XLA can compile it, which is
        faster.
        """
        if self.example.is_cached:
            return batch
        images = batch['image']
        flat = tf.reshape(images, [-1, *images.shape[-3:]])
        flat_numbers = tf.reshape(numbers, [tf.shape(flat)[0], numbers.shape[-1]])
        augmented = augment(flat, flat_numbers, self.augment, size=self.size)
        return {**batch, 'image': tf.reshape(augmented, [*images.shape[:-3], *self.size, 3])}

    def mixed(self, batch: Batch, numbers: tf.Tensor) -> tuple[tf.Tensor, MixedLabels]:
        """Returns the views of an augmented batch and its labels, mixed if the config says so.

        Only pictures are mixed, never the views of products.
        """
        return mix(self.views(batch), batch['label'], numbers, self.augment)

    def views(self, batch: Batch) -> tf.Tensor:
        """Returns the images or features that are computed: [B, …] or [B, V, …] -> [N, …].

        For products these are the real views: masked places cost nothing and do not count in batch
        normalization. XLA compiles a program for each shape, so there all places are computed, and
        the fusion ignores the masked ones.
        """
        values = batch[self.example.column]
        if not self.example.is_product:
            return values
        if self.pads_views:
            return tf.reshape(values, [-1, *values.shape[2:]])
        return tf.boolean_mask(values, batch['mask'])

    def network_inputs(self, views: tf.Tensor, batch: Batch) -> Any:
        """Returns what `network` takes: the normalized views, with the mask of products."""
        if not self.example.is_cached:
            views = preprocess.normalize(views, self.model)
        return [views, batch['mask']] if self.example.is_product else views


def model_inputs(config: TrainConfig) -> ModelInputs:
    """Returns how a run turns batches into inputs of its network."""
    pads_views = config.step.xla or config.strategy == 'tpu'
    size = (config.input.height, config.input.width)
    return ModelInputs(example_spec(config), config.model, config.augment, size, pads_views)


def without_labels(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns of a batch, or of its specification, that the network reads."""
    return {name: value for name, value in batch.items() if name not in _UNUSED}
