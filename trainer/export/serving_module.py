"""The model as it leaves: bytes of pictures in, category names out. Knows no file and no run.

Decoding, normalising, the network and the category tree are all inside, so that whoever asks needs
nothing but the picture's bytes. Signatures: docs/design.md, "The model that leaves".
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from catalog.categories import Categories
from trainer.config import InputConfig
from trainer.data import preprocess
from trainer.inference.predictor import Answerer, Committee, first_views, product_count
from trainer.metrics.calibration import Temperatures

Answers = dict[str, tf.Tensor]

_PICTURES = tf.TensorSpec([None], tf.string, name='image_bytes')
_PRODUCTS = tf.TensorSpec([None], tf.int64, name='product')


class ServingModule(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A trained model, or several together, with three signatures.

    TensorFlow Serving restores variables by what this object tracks. A tracked Keras 3 model would
    be restored into wrappers that the signatures do not read, so its raw variables are tracked and
    the model itself is held in an object that it does not look into.

    Attributes:
      variables_to_restore: everything the signatures read.
      names_file: the category tree's file, copied into the SavedModel's assets.
      decode: a function in the SavedModel beside the signatures, string [N] -> uint8 [N, H, W, 3];
        one batch on one thread, for who decodes several at a time: `trainer.predict`.
      product_probabilities: likewise, from these and their products int64 [N] to float32 [P, C],
        calibrated: for who asks several models together.
    """

    def __init__(
        self,
        answerer: Answerer | Committee,
        tree: Categories,
        *,
        names_file: str,
        temperatures: Temperatures,
        top_k: int,
        threshold: float,
    ) -> None:
        super().__init__(name='product_categories')
        self.variables_to_restore = answerer.variables
        self._answerer = answerer
        self.names_file = tf.saved_model.Asset(names_file)
        self._tree = tree
        self._top_k = min(top_k, len(tree))
        self._threshold = threshold
        self._temperatures = temperatures
        decoded = tf.TensorSpec([None, answerer.input.height, answerer.input.width, 3], tf.uint8)
        self.decode = tf.function(self._decode, [_PICTURES], autograph=False)
        self.product_probabilities = tf.function(
            self._of_products, [decoded, _PRODUCTS], autograph=False
        )

    def signatures(self) -> dict[str, Callable[..., Answers]]:
        """The functions to save, by name."""
        return {
            'serving_default': tf.function(self.classify, [_PICTURES], autograph=False),
            'product': tf.function(self.classify_products, [_PICTURES, _PRODUCTS], autograph=False),
            'embedding': tf.function(self.embed, [_PICTURES], autograph=False),
        }

    def classify(self, image_bytes: tf.Tensor) -> Answers:
        """The likeliest k categories of each picture: string [N] -> `answers` of [N]."""
        each = self._answerer.pictures(self._decoded(image_bytes))
        probabilities = calibrated(each, self._temperatures.picture)
        return answers(probabilities, self._tree, top_k=self._top_k)

    def classify_products(self, image_bytes: tf.Tensor, product: tf.Tensor) -> Answers:
        """The likeliest k categories of each product, all its pictures taken together.

        A model that fuses views takes the first `max_views` pictures of a product as they come, and
        passes over the others; of any other model it is the mean of all pictures' probabilities.

        Args:
          image_bytes: string [M].
          product: int64 [M], which product a picture shows, 0 to P-1.

        Returns:
          `answers` of [P], and `level` int64 [P], see `deepest_level`.
        """
        checks = _product_checks(image_bytes, product)
        with tf.control_dependencies(checks):
            if max_views := self._answerer.max_views:  # the others need not be decoded
                order, _ = first_views(product, max_views=max_views)
                image_bytes, product = tf.gather(image_bytes, order), tf.gather(product, order)
            probabilities = self.product_probabilities(self._decoded(image_bytes), product)
        return {
            **answers(probabilities, self._tree, top_k=self._top_k),
            'level': deepest_level(probabilities, self._tree, threshold=self._threshold),
        }

    def embed(self, image_bytes: tf.Tensor) -> Answers:
        """Features for finding similar pictures: string [N] -> `embedding` float32 [N, d].

        Each has length 1, so that a dot product is a cosine.
        """
        return {'embedding': self._answerer.features(self._decoded(image_bytes))}

    def _decoded(self, image_bytes: tf.Tensor) -> tf.Tensor:
        return decode_batch(image_bytes, self._answerer.input)

    def _decode(self, image_bytes: tf.Tensor) -> tf.Tensor:
        size = self._answerer.input
        return preprocess.decode_batch(image_bytes, height=size.height, width=size.width)

    def _of_products(self, images: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
        probabilities = self._answerer.products(images, product)
        return calibrated(probabilities, self._temperatures.product)


def calibrated(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """`p ** (1 / T)`, normalised, as `calibration.apply_temperature`; T = 1: unchanged; [N, C]."""
    if temperature == 1:
        return probabilities
    smallest = np.finfo(np.float32).tiny
    return tf.nn.softmax(tf.math.log(tf.maximum(probabilities, smallest)) / temperature)


def decode_batch(image_bytes: tf.Tensor, config: InputConfig) -> tf.Tensor:
    """Decodes a batch of pictures: string [N] -> uint8 [N, H, W, 3]."""
    shape = (config.height, config.width, 3)
    return tf.map_fn(
        lambda encoded: preprocess.decode(encoded, height=config.height, width=config.width),
        image_bytes,
        fn_output_signature=tf.TensorSpec(shape, tf.uint8),
    )


def answers(probabilities: tf.Tensor, tree: Categories, *, top_k: int) -> Answers:
    """The likeliest categories: float32 [N, C] -> [N, k] each, the likeliest first.

    Returns:
      `label` and `category_id` int64, `confidence` float32, `level1`, `level2`, `level3` string.
    """
    confidence, label = tf.math.top_k(probabilities, top_k)
    level1, level2, level3 = (
        tf.gather(tf.constant([name.encode() for name in names]), label)
        for names in zip(*tree.names, strict=True)
    )
    return {
        'label': tf.cast(label, tf.int64),
        'category_id': tf.gather(tf.constant(tree.ids, tf.int64), label),
        'confidence': confidence,
        'level1': level1,
        'level2': level2,
        'level3': level3,
    }


def deepest_level(probabilities: tf.Tensor, tree: Categories, *, threshold: float) -> tf.Tensor:
    """How deep the likeliest category can be trusted: float32 [P, C] -> int64 [P].

    3 if the leaf's confidence is at least the threshold, else 2 or 1 if the summed confidence of
    all leaves under the leaf's parent on that level is, else 0.
    """
    best = tf.argmax(probabilities, axis=1)  # [P]
    level = tf.zeros_like(best)
    leaves = np.arange(len(tree))
    for depth, nodes in enumerate([tree.level1, tree.level2, leaves], start=1):
        node_of = tf.constant(nodes, tf.int64)  # [C]
        same = node_of[None, :] == tf.gather(node_of, best)[:, None]  # [P, C]
        confidence = tf.reduce_sum(tf.where(same, probabilities, 0.0), axis=1)
        level = tf.where(confidence >= threshold, tf.constant(depth, tf.int64), level)
    return level


def _product_checks(image_bytes: tf.Tensor, product: tf.Tensor) -> list[tf.Operation]:
    """Checks that a product number is given for each picture, and that none is left out."""
    pictures = tf.size(image_bytes, tf.int64)
    numbers, _ = tf.unique(product)
    return [
        tf.debugging.Assert(
            tf.size(product, tf.int64) == pictures,
            ['product must have one number a picture, got', tf.size(product), 'for', pictures],
        ),
        tf.debugging.Assert(
            tf.reduce_all(product >= 0) & (tf.size(numbers, tf.int64) == product_count(product)),
            ['product must number the products 0 to P-1 with none left out, got', product],
        ),
    ]
