"""The exported model: bytes of pictures in, category names out. Knows no file and no run.

Decoding, preprocessing, the network and the category tree are inside, so that a client needs
nothing but the bytes of a picture. The signatures are in docs/design.md, "The exported model".
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.categories import Categories
from trainer.config import InputConfig
from trainer.data import preprocess
from trainer.export.feeds import checked
from trainer.inference.predictor import (
    EnsemblePredictor,
    Predictor,
    first_views,
    product_count,
)
from trainer.metrics.calibration import MIN_PROBABILITY, Temperatures

Outputs = dict[str, tf.Tensor]

_PICTURES = tf.TensorSpec([None], tf.string, name='image_bytes')
_PRODUCTS = tf.TensorSpec([None], tf.int64, name='product')


class ServingModule(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A trained model or an ensemble with four signatures.

    TensorFlow Serving restores the variables that this object tracks. A tracked Keras 3 model would
    be restored into wrappers that the signatures do not read, so the raw variables are tracked and
    the model is held by an object that TensorFlow does not track.

    Attributes:
      variables_to_restore: All variables that the signatures read.
      names_file: The file of the category tree, copied into the SavedModel's assets.
      decode: A function beside the signatures, string [N] -> uint8 [N, H, W, 3], which decodes a
        batch on one thread: `trainer.predict` decodes several batches at a time.
      product_probabilities: A function beside the signatures, from decoded images and the product
        of each, int64 [N], to calibrated probabilities float32 [P, C]: for ensembles of exports.
      network: A function beside the signatures for `serving.convert`. From images, product by
        product, and the product of each, it computes all that needs the network: `pictures` float32
        [N, C] and `products` float32 [P, C], calibrated, and `embedding` float32 [N, d].
    """

    def __init__(
        self,
        predictor: Predictor | EnsemblePredictor,
        tree: Categories,
        *,
        input_config: InputConfig,
        names_file: str,
        temperatures: Temperatures,
        prior_shift: npt.NDArray[np.float32] | None,
        top_k: int,
        threshold: float,
    ) -> None:
        """Builds the functions of the model.

        Args:
          predictor: The forward path.
          tree: The category tree.
          input_config: The size that pictures are decoded to.
          names_file: Path of the category tree's file.
          temperatures: Temperatures of the confidence.
          prior_shift: Added to log probabilities, float32 [C]; None keeps the prior of training.
          top_k: Categories in a prediction, or all if there are fewer.
          threshold: Summed confidence from which a level is trusted.
        """
        super().__init__(name='product_categories')
        self.variables_to_restore = predictor.variables
        self._predictor = predictor
        self._input = input_config
        self._prior_shift = prior_shift
        self.names_file = tf.saved_model.Asset(names_file)
        self._tree = tree
        self._top_k = min(top_k, len(tree))
        self._threshold = threshold
        self._temperatures = temperatures
        decoded = tf.TensorSpec([None, input_config.height, input_config.width, 3], tf.uint8)
        self.decode = tf.function(self._decode, [_PICTURES], autograph=False)
        self.product_probabilities = tf.function(
            self._product_probabilities, [decoded, _PRODUCTS], autograph=False
        )
        self.network = tf.function(self._network, [decoded, _PRODUCTS], autograph=False)
        self._images = tf.TensorSpec(decoded.shape, tf.uint8, name='images')

    def signatures(self) -> dict[str, Callable[..., Outputs]]:
        """Returns the functions to save as signatures, by name."""
        return {
            'serving_default': tf.function(self.classify, [_PICTURES], autograph=False),
            'product': tf.function(self.classify_products, [_PICTURES, _PRODUCTS], autograph=False),
            'embedding': tf.function(self.embed, [_PICTURES], autograph=False),
            'pixels': tf.function(self.classify_pixels, [self._images], autograph=False),
        }

    def classify(self, image_bytes: tf.Tensor) -> Outputs:
        """Classifies each picture: string [N] -> `top_categories` of [N]."""
        images = self.decode(checked(image_bytes, _PICTURES))
        uncalibrated = self._predictor.picture_probabilities(images)
        probabilities = self._calibrate(uncalibrated, self._temperatures.picture)
        return top_categories(probabilities, self._tree, top_k=self._top_k)

    def classify_products(self, image_bytes: tf.Tensor, product: tf.Tensor) -> Outputs:
        """Classifies each product from all its pictures.

        A model that fuses views takes the first `max_views` pictures of a product and ignores the
        others; any other model averages the probabilities of all pictures.

        Args:
          image_bytes: string [M].
          product: int64 [M], the product of each picture, 0 to P-1.

        Returns:
          `top_categories` of [P], and `level` int64 [P], see `deepest_level`.
        """
        image_bytes = checked(image_bytes, _PICTURES)
        with tf.control_dependencies(_product_checks(image_bytes, product)):
            product = _below_number_of_pictures(product)
            if max_views := self._predictor.max_views:  # the others need not be decoded
                order, _ = first_views(product, max_views=max_views)
                image_bytes, product = tf.gather(image_bytes, order), tf.gather(product, order)
            probabilities = self.product_probabilities(self.decode(image_bytes), product)
        return {
            **top_categories(probabilities, self._tree, top_k=self._top_k),
            'level': deepest_level(probabilities, self._tree, threshold=self._threshold),
        }

    def embed(self, image_bytes: tf.Tensor) -> Outputs:
        """Computes features for finding similar pictures: string [N] -> `embedding` float32 [N, d].

        Each has length 1, so that a dot product is a cosine.
        """
        images = self.decode(checked(image_bytes, _PICTURES))
        return {'embedding': self._predictor.embeddings(images)}

    def classify_pixels(self, images: tf.Tensor) -> Outputs:
        """Classifies and embeds decoded images: uint8 [N, H, W, 3] -> what both signatures give.

        For a client or a runtime that decodes itself. Images are as `decode` returns them.
        """
        images = checked(images, self._images)
        each_alone = tf.range(tf.shape(images, tf.int64)[0])
        outputs = self.network(images, each_alone)
        top = top_categories(outputs['pictures'], self._tree, top_k=self._top_k)
        return {**top, 'embedding': outputs['embedding']}

    def _network(self, images: tf.Tensor, product: tf.Tensor) -> Outputs:
        predictions = self._predictor.predictions(images, _below_number_of_pictures(product))
        return {
            'pictures': self._calibrate(predictions.pictures, self._temperatures.picture),
            'products': self._calibrate(predictions.products, self._temperatures.product),
            'embedding': predictions.embeddings,
        }

    def _decode(self, image_bytes: tf.Tensor) -> tf.Tensor:
        return decode_parallel(image_bytes, self._input)

    def _product_probabilities(self, images: tf.Tensor, product: tf.Tensor) -> tf.Tensor:
        uncalibrated = self._predictor.product_probabilities(images, product)
        return self._calibrate(uncalibrated, self._temperatures.product)

    def _calibrate(self, probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
        return calibrated(probabilities, temperature=temperature, prior_shift=self._prior_shift)


def calibrated(
    probabilities: tf.Tensor,
    *,
    temperature: float,
    prior_shift: npt.NDArray[np.float32] | None = None,
) -> tf.Tensor:
    """Returns `p ** (1 / T) * exp(shift)`, normalized: float32 [N, C] -> float32 [N, C].

    Without a shift, the same as `calibration.apply_temperature`; T = 1 changes nothing.
    """
    if temperature == 1 and prior_shift is None:
        return probabilities
    logs = tf.math.log(tf.maximum(probabilities, MIN_PROBABILITY)) / temperature
    return tf.nn.softmax(logs if prior_shift is None else logs + prior_shift)


def decode_parallel(image_bytes: tf.Tensor, config: InputConfig) -> tf.Tensor:
    """Decodes the pictures of a batch in parallel: string [N] -> uint8 [N, H, W, 3]."""
    return preprocess.decode_any_batch(image_bytes, height=config.height, width=config.width)


def top_categories(probabilities: tf.Tensor, tree: Categories, *, top_k: int) -> Outputs:
    """Returns the most probable categories: float32 [N, C] -> [N, k] each, most probable first.

    Returns:
      `label` and `category_id` int64, `confidence` float32, `level1` to `levelN` string, empty
      below the end of a shorter path. Where ids are codes, `category_code` string.
    """
    confidence, label = tf.math.top_k(probabilities, top_k)
    texts = {f'level{level}': tree.level_names(level) for level in range(1, tree.levels + 1)}
    if tree.codes:
        texts['category_code'] = list(tree.codes)
    return {
        'label': tf.cast(label, tf.int64),
        'category_id': tf.gather(tf.constant(tree.ids, tf.int64), label),
        'confidence': confidence,
        **{
            name: tf.gather(tf.constant([value.encode() for value in values]), label)
            for name, values in texts.items()
        },
    }


def deepest_level(probabilities: tf.Tensor, tree: Categories, *, threshold: float) -> tf.Tensor:
    """Returns the deepest level that can be trusted: float32 [P, C] -> int64 [P].

    N if the confidence of the most probable leaf is at least the threshold; otherwise the deepest
    level at which the summed confidence of all leaves under its parent is; otherwise 0. At most the
    level where the leaf's path ends.
    """
    best = tf.argmax(probabilities, axis=1)  # [P]
    level = tf.zeros_like(best)
    leaves = np.arange(len(tree))
    for depth, nodes in enumerate([*tree.parents, leaves], start=1):
        node_of = tf.constant(nodes, tf.int64)  # [C]
        same = node_of[None, :] == tf.gather(node_of, best)[:, None]  # [P, C]
        confidence = tf.reduce_sum(tf.where(same, probabilities, 0.0), axis=1)
        level = tf.where(confidence >= threshold, tf.constant(depth, tf.int64), level)
    depths = [len(path) for path in tree.names]
    if min(depths) == tree.levels:
        return level
    return tf.minimum(level, tf.gather(tf.constant(depths, tf.int64), best))


def _product_checks(image_bytes: tf.Tensor, product: tf.Tensor) -> list[tf.Operation]:
    """Checks that each picture has a product number, and that these are 0 to P-1."""
    pictures = tf.size(image_bytes, tf.int64)
    numbers, _ = tf.unique(product)
    return [
        tf.debugging.Assert(
            tf.size(product, tf.int64) == pictures,
            ['product must have one number per picture, got', tf.size(product), 'for', pictures],
        ),
        tf.debugging.Assert(
            tf.reduce_all(product >= 0) & (tf.size(numbers, tf.int64) == product_count(product)),
            ['product must use every number from 0 to P-1, got', product],
        ),
    ]


def _below_number_of_pictures(product: tf.Tensor) -> tf.Tensor:
    """Bounds product numbers by the number of pictures, which valid ones never reach.

    Memory is allocated for every number up to the largest one, perhaps before a check fails.
    """
    return tf.minimum(product, tf.size(product, tf.int64) - 1)
