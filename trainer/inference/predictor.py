"""The forward path of trained models: decoded images to logits, probabilities and features.

Evaluation, validation, feature caches, tau-normalization, distillation, ensembles and the exported
model all compute predictions here. Images are uint8 or float32 [N, h, w, 3]; each model resizes and
normalizes them itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import tensorflow as tf

from trainer.config import ModelConfig
from trainer.data import preprocess
from trainer.inference.combination import Combination, combined_log_probabilities
from trainer.models import model as models


class Predictions(NamedTuple):
    """All that a model computes of a batch, from features that are computed once.

    Attributes:
      pictures: Probabilities of each picture, float32 [N, C].
      products: Probabilities of each product, float32 [P, C].
      embeddings: Features of length 1 of each picture, float32 [N, d].
    """

    pictures: tf.Tensor
    products: tf.Tensor
    embeddings: tf.Tensor


class Predictor:
    """One model.

    Attributes:
      height: Height of the images that the model takes, in pixels.
      width: Width of the images that the model takes, in pixels.
      max_views: Views of a product that count, its first ones; None if all pictures of a product
        count, as the mean of their probabilities.
    """

    def __init__(self, model: keras.Model, config: ModelConfig) -> None:
        """Takes a model that `models.build_model` built from a config."""
        self._model = model
        self._config = config
        self._fuses_views = models.takes_products(model)
        self.height, self.width = model.inputs[0].shape[1:3]
        self.max_views = config.fusion.max_views if self._fuses_views else None
        if self._fuses_views:
            self._head = models.head_model(model)
        else:
            self._both = models.feature_and_logit_model(model)
        self._backbone = models.feature_model(model)

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables that predictions depend on."""
        return [variable.value for variable in self._model.variables]

    def logits(self, images: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Computes logits: images [N, h, w, 3] -> float32 [N, C], or [P, C] with a mask.

        Args:
          images: Pictures; with a mask, the views of products, as `fusion.Views` takes them.
          mask: bool [P, V]; None makes each picture an example, for a model that fuses views a
            product with one view.
        """
        inputs = self._preprocess(images)
        if self._fuses_views:
            inputs = [inputs, models.single_view_mask(inputs) if mask is None else mask]
        return tf.cast(self._model(inputs, training=False), tf.float32)

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """Computes the features that the head takes: [N, h, w, 3] -> [N, d]."""
        return self._backbone(self._preprocess(images), training=False)

    def logits_of_features(self, features: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Computes the logits of products from `features` of a model that fuses views.

        Args:
          features: [N, d], as `fusion.Views` takes them.
          mask: bool [P, V]; None makes each picture a product with one view.

        Returns:
          float32 [P, C]
        """
        views = models.single_view_mask(features) if mask is None else mask
        return tf.cast(self._head([features, views], training=False), tf.float32)

    def picture_probabilities(self, images: tf.Tensor) -> tf.Tensor:
        """Computes the probabilities of each picture: [N, h, w, 3] -> float32 [N, C]."""
        return tf.nn.softmax(self.logits(images))

    def product_probabilities(self, images: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
        """Computes the probabilities of each product: [M, h, w, 3], int64 [M] -> float32 [P, C].

        Args:
          images: Pictures of products.
          product: The product of each picture, 0 to P-1.
        """
        if self.max_views is None:
            return mean_over_views(self.picture_probabilities(images), product)
        order, mask = first_views(product, max_views=self.max_views)
        return tf.nn.softmax(self.logits(tf.gather(images, order), mask))

    def embeddings(self, images: tf.Tensor) -> tf.Tensor:
        """Computes features of length 1: [N, h, w, 3] -> float32 [N, d]."""
        return _unit_length(self.features(images))

    def predictions(self, images: tf.Tensor, product: tf.Tensor) -> Predictions:
        """Computes all of a batch, in operations that other runtimes have too.

        Args:
          images: [N, h, w, 3], product by product.
          product: int64 [N], the product of each picture, 0 to P-1 in ascending order.
        """
        if self.max_views is None:
            features, logits = self._both(self._preprocess(images), training=False)
            pictures = tf.nn.softmax(tf.cast(logits, tf.float32))
            products = mean_over_views(pictures, product)
        else:
            features = self.features(images)
            pictures = tf.nn.softmax(self.logits_of_features(features))
            counts = _count_views(product)
            place = tf.range(tf.size(product)) - tf.gather(
                tf.cumsum(counts, exclusive=True), product
            )
            mask = tf.range(self.max_views) < counts[:, tf.newaxis]
            first = tf.boolean_mask(features, place < self.max_views)
            products = tf.nn.softmax(self.logits_of_features(first, mask))
        return Predictions(pictures, products, _unit_length(features))

    def _preprocess(self, images: tf.Tensor) -> tf.Tensor:
        if self.height is not None:
            images = preprocess.resize(images, height=self.height, width=self.width)
        return preprocess.normalize(images, self._config)


@dataclass(frozen=True)
class EnsemblePredictor:
    """Several models.

    Attributes:
      members: Models of any image size and preprocessing.
      combination: How their probabilities are combined.
    """

    members: tuple[Predictor, ...]
    combination: Combination

    @property
    def max_views(self) -> int | None:
        """Views of a product that count, its first ones; None if all of them do."""
        views = [member.max_views for member in self.members]
        return None if None in views else max(count for count in views if count is not None)

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables that predictions depend on."""
        return [variable for member in self.members for variable in member.variables]

    def picture_probabilities(self, images: tf.Tensor) -> tf.Tensor:
        """Computes the probabilities of each picture: [N, h, w, 3] -> float32 [N, C]."""
        return self._combine([member.picture_probabilities(images) for member in self.members])

    def product_probabilities(self, images: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
        """Computes the probabilities of each product: [M, h, w, 3], int64 [M] -> float32 [P, C]."""
        return self._combine(
            [member.product_probabilities(images, product) for member in self.members]
        )

    def embeddings(self, images: tf.Tensor) -> tf.Tensor:
        """Concatenates the members' embeddings to length 1: [N, h, w, 3] -> float32 [N, d].

        A dot product is the mean of the members' cosines.
        """
        return _concatenated([member.embeddings(images) for member in self.members])

    def predictions(self, images: tf.Tensor, product: tf.Tensor) -> Predictions:
        """Computes all of a batch, as `Predictor.predictions` does."""
        each = [member.predictions(images, product) for member in self.members]
        return Predictions(
            self._combine([one.pictures for one in each]),
            self._combine([one.products for one in each]),
            _concatenated([one.embeddings for one in each]),
        )

    def _combine(self, probabilities: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.exp(combined_log_probabilities(tf.stack(probabilities), self.combination))


def _count_views(product: tf.Tensor) -> tf.Tensor:
    """Counts the pictures of each product, as `bincount` does: int64 [N] -> int32 [P]."""
    rows = tf.range(product_count(product))[:, tf.newaxis]
    return tf.reduce_sum(tf.cast(rows == product, tf.int32), axis=1)


def _unit_length(features: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1)


def _concatenated(embeddings: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.concat(embeddings, axis=1) / len(embeddings) ** 0.5


def mean_over_views(probabilities: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
    """Averages the probabilities of each product's pictures: [M, C], int64 [M] -> [P, C]."""
    return tf.math.unsorted_segment_mean(probabilities, product, product_count(product))


def first_views(product: tf.Tensor, *, max_views: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Selects the first pictures of each product: int64 [M] -> int64 [N], bool [P, V].

    Args:
      product: The product of each picture, 0 to P-1.
      max_views: V.

    Returns:
      The rows of the selected pictures, product by product and in their order within each; and
      which of its V places each product fills.
    """
    order = tf.argsort(product, stable=True)  # [M]
    counts = tf.math.bincount(tf.cast(product, tf.int32), dtype=tf.int64)  # [P]
    starts = tf.cumsum(counts, exclusive=True)
    place = tf.range(tf.size(product, tf.int64)) - tf.repeat(starts, counts)
    mask = tf.sequence_mask(tf.minimum(counts, max_views), max_views)
    return tf.boolean_mask(order, place < max_views), mask


def product_count(product: tf.Tensor) -> tf.Tensor:
    """Returns P of product numbers 0 to P-1: int64 [M] -> int64 []."""
    return tf.reduce_max(tf.concat([tf.constant([-1], tf.int64), product], axis=0)) + 1
