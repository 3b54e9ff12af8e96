"""How often the products of a class are read in an epoch. Pure: knows no file and no TensorFlow.

Shards hold classes as often as the shard job wrote them. Reading may change that: with
`input.sampling_power` p, a step sees a class as often as `count ** p`, by its products in the train
split; 1 is the shop as it is, 0 all classes alike. An epoch stays as long as the shards: what is
rare is read several times, of what is common some is passed over and comes in a later epoch.

An example's copies in epoch e are `floor(w (e + 1) + u) - floor(w e + u)`: w copies an epoch are
due to its class, and u in [0, 1) is drawn by product and seed. So the expectation is exact, after
any number of epochs no product of a class has been read more than once more often than another,
and what is read hangs neither on the workers nor on where a run was stopped. `copies` computes it.

Which examples of a block are read, and how often. The rule is in `sampling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.data import feature_shards
from trainer.data.data_set import DataInfo, DataSet


def seen(
    shown: Sequence[int], products: Sequence[int], *, power: float | None
) -> tuple[float, ...]:
    """Examples of each class in an epoch, expected [C]; in all as many as the shards show.

    Args:
      shown: examples in the shards, copies included [C].
      products: different ones in the shards [C].
      power: of the products' counts; None leaves the shards as they are.
    """
    if power is None:
        return tuple(shown)
    wanted = [
        float(count) ** power if there else 0.0
        for there, count in zip(shown, products, strict=True)
    ]
    scale = sum(shown) / sum(wanted)
    return tuple(scale * share for share in wanted)


def copies_due(
    shown: Sequence[int], products: Sequence[int], *, power: float | None
) -> tuple[float, ...]:
    """Copies of an example in an epoch, expected, by class [C]; arguments as of `seen`."""
    expected = seen(shown, products, power=power)
    return tuple(count / max(there, 1) for count, there in zip(expected, shown, strict=True))


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
    shown = shown_per_class(data, config)
    products = data.split('train').products_per_class
    return Copies(fraction, copies_due(shown, products, power=power), config.seed)


def chosen(product_ids: tf.Tensor, *, fraction: float, seed: int) -> tf.Tensor:
    """Which products are in a fraction of them, by a hash of product and seed: bool [E]."""
    return _places(product_ids, key=[seed, 0]) < fraction


def _places(product_ids: tf.Tensor, *, key: list[int]) -> tf.Tensor:
    """A number for each product: int64 [E] -> float64 [E] in [0, 1)."""
    names = tf.strings.as_string(product_ids)
    places = tf.strings.to_hash_bucket_strong(names, _PLACES, key=key)
    return tf.cast(places, tf.float64) / _PLACES


def data_info(data: DataSet, config: TrainConfig) -> DataInfo:
    """What a run must remember of a data set.

    Raises:
      UserError: if the data set has no labelled train split, or records of another kind.
    """
    train = data.split('train')
    if len(train.pictures_per_class) != data.num_classes:
        raise UserError(f'{data.folder}: training needs labelled data, these shards have no labels')
    if not sum(train.pictures_per_class):
        raise UserError(f'{data.folder}: training needs pictures, the train split has none')
    feature_shards.check(data.manifest, config, folder=data.folder)
    shown, power = shown_per_class(data, config), config.input.sampling_power
    return DataInfo(
        digest=data.digest,
        num_classes=data.num_classes,
        examples_per_class=seen(shown, train.products_per_class, power=power),
        natural_prior=tuple(data.manifest.priors['natural']),
    )


def shown_per_class(data: DataSet, config: TrainConfig) -> tuple[int, ...]:
    """Examples in the train shards, copies included [C]: of pictures, or of records of products."""
    train = data.split('train')
    return train.records_per_class if config.model.fusion.is_on else train.pictures_per_class
