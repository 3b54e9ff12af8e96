"""Asks a trained model, or several together, about decoded pictures. Part of what is exported.

Pictures come in, uint8 or float32 [N, H, W, 3] of the size that `input` says; what goes on inside
(scaling, normalising, fusing views) is each model's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from trainer.config import InputConfig, TrainConfig
from trainer.data import preprocess
from trainer.data.preprocess import scaled
from trainer.inference.ensemble import Combination, log_probabilities
from trainer.inference.runs import Run
from trainer.models import model as models


@dataclass(frozen=True)
class Answerer:
    """One model.

    Attributes:
      model: with its weights.
      config: of the run that made it.
    """

    model: keras.Model
    config: TrainConfig

    @property
    def input(self) -> InputConfig:
        """The size of the pictures."""
        return self.config.input

    @property
    def max_views(self) -> int | None:
        """Pictures of a product that count, its first ones; None for all of them."""
        return self.config.model.fusion.max_views if self._fuses else None

    @property
    def variables(self) -> list[tf.Variable]:
        """Everything that an answer hangs on."""
        return [variable.value for variable in self.model.variables]

    @property
    def _fuses(self) -> bool:
        return models.takes_products(self.model)

    def pictures(self, images: tf.Tensor) -> tf.Tensor:
        """Probabilities of each picture: [N, H, W, 3] -> float32 [N, C].

        A model that fuses views takes it as a product of one.
        """
        inputs = self._normal(images)
        return self._probabilities(
            [inputs, models.single_view_mask(inputs)] if self._fuses else inputs
        )

    def products(self, images: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
        """Probabilities of each product: [M, H, W, 3] and its number int64 [M] -> float32 [P, C].

        Of a model that fuses no views, the mean of the pictures'.
        """
        if not self._fuses:
            return tf.math.unsorted_segment_mean(
                self.pictures(images), product, product_count(product)
            )
        order, mask = first_views(product, max_views=self.config.model.fusion.max_views)
        return self._probabilities([self._normal(tf.gather(images, order)), mask])

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Features of length 1 of each picture: [N, H, W, 3] -> float32 [N, d]."""
        features = models.feature_model(self.model)(self._normal(images), training=False)
        return tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1)

    def _normal(self, images: tf.Tensor) -> tf.Tensor:
        pixels = scaled(images, height=self.input.height, width=self.input.width)
        return preprocess.normalize(pixels, self.config.model)

    def _probabilities(self, inputs: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
        return tf.nn.softmax(tf.cast(self.model(inputs, training=False), tf.float32))


@dataclass(frozen=True)
class Committee:
    """Several models.

    Attributes:
      members: of any size and way of being fed.
      combination: of their probabilities.
      input: the size of the pictures; each member scales them to its own.
    """

    members: tuple[Answerer, ...]
    combination: Combination
    input: InputConfig

    @property
    def max_views(self) -> int | None:
        """Pictures of a product that count, its first ones; None for all of them."""
        views = [member.max_views for member in self.members]
        return None if None in views else max(count for count in views if count is not None)

    @property
    def variables(self) -> list[tf.Variable]:
        """Everything that an answer hangs on."""
        return [variable for member in self.members for variable in member.variables]

    def pictures(self, images: tf.Tensor) -> tf.Tensor:
        """Probabilities of each picture: [N, H, W, 3] -> float32 [N, C]."""
        return self._combined([member.pictures(images) for member in self.members])

    def products(self, images: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
        """Of each product: [M, H, W, 3] and its number int64 [M] -> float32 [P, C]."""
        return self._combined([member.products(images, product) for member in self.members])

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """All members' features, so that a dot product is the mean of theirs: float32 [N, d]."""
        each = [member.features(images) for member in self.members]
        return tf.concat(each, axis=1) / len(each) ** 0.5

    def _combined(self, probabilities: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.exp(log_probabilities(tf.stack(probabilities), self.combination))


def of(run: Run) -> Answerer | Committee:
    """What answers for a run, or for an ensemble."""
    members = tuple(Answerer(member.model, member.config) for member in run.members)
    if run.combination is None:
        return members[0]
    return Committee(members, run.combination, run.config.input)


def first_views(product: tf.Tensor, *, max_views: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The first pictures of each product: product numbers int64 [M] -> int64 [N], bool [P, V].

    Which pictures they are, product by product, each in the order in which they came, and how many
    of V = `max_views` places each product has filled.
    """
    order = tf.argsort(product, stable=True)  # [M]
    counts = tf.math.bincount(tf.cast(product, tf.int32), dtype=tf.int64)  # [P]
    starts = tf.cumsum(counts, exclusive=True)
    place = tf.range(tf.size(product, tf.int64)) - tf.repeat(starts, counts)
    mask = tf.sequence_mask(tf.minimum(counts, max_views), max_views)
    return tf.boolean_mask(order, place < max_views), mask


def product_count(product: tf.Tensor) -> tf.Tensor:
    """P of product numbers 0 to P-1: int64 [M] -> int64 []."""
    return tf.reduce_max(tf.concat([tf.constant([-1], tf.int64), product], axis=0)) + 1
