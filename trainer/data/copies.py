"""Which examples of a block are read, and how often. The rule is in `sampling`."""

from dataclasses import dataclass

import tensorflow as tf

from trainer.data import data_set
from trainer.data import sampling
from trainer.config import TrainConfig
from trainer.data.data_set import DataSet

_PLACES = 1 << 30  # that a product's hash may fall on


@dataclass(frozen=True)
class Copies:
    """What is read of each epoch.

    Attributes:
      fraction: of the products, the same in every epoch, that are read at all.
      due: copies of an example in an epoch by class [C]; None is one of each.
      seed: of the run.
    """

    fraction: float
    due: tuple[float, ...] | None
    seed: int

    def rows(self, labels: tf.Tensor, product_ids: tf.Tensor, *, epoch: tf.Tensor) -> tf.Tensor:
        """The examples that are read, each as often as it is: int64 [E], int64 [E] -> int32 [n]."""
        rows = tf.range(tf.size(labels))
        if self.due is not None:
            places = _places(product_ids, key=[self.seed, 1])
            rows = tf.repeat(rows, self._copies(labels, places, epoch=tf.cast(epoch, tf.float64)))
        if self.fraction < 1:
            kept = chosen(product_ids, fraction=self.fraction, seed=self.seed)
            rows = tf.boolean_mask(rows, tf.gather(kept, rows))
        return rows

    def _copies(self, labels: tf.Tensor, places: tf.Tensor, *, epoch: tf.Tensor) -> tf.Tensor:
        due = tf.gather(tf.constant(self.due, tf.float64), labels)
        before, after = tf.floor(due * epoch + places), tf.floor(due * (epoch + 1) + places)
        return tf.cast(after - before, tf.int32)


def build(data: DataSet, config: TrainConfig) -> Copies:
    """The rule of a run."""
    fraction, power = config.input.sample_fraction, config.input.sampling_power
    if power is None:
        return Copies(fraction, None, config.seed)
    shown = data_set.shown_per_class(data, config)
    products = data.split('train').products_per_class
    return Copies(fraction, sampling.copies_due(shown, products, power=power), config.seed)


def chosen(product_ids: tf.Tensor, *, fraction: float, seed: int) -> tf.Tensor:
    """Which products are in a fraction of them, by a hash of product and seed: bool [E]."""
    return _places(product_ids, key=[seed, 0]) < fraction


def _places(product_ids: tf.Tensor, *, key: list[int]) -> tf.Tensor:
    """A number for each product: int64 [E] -> float64 [E] in [0, 1)."""
    names = tf.strings.as_string(product_ids)
    places = tf.strings.to_hash_bucket_strong(names, _PLACES, key=key)
    return tf.cast(places, tf.float64) / _PLACES
