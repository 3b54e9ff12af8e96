"""How often each example is read in an epoch.

The shard job decides how often a class occurs in the shards. Reading can change that: with
`input.sampling_power` p, a class is read in proportion to `count ** p`, where count is its number
of products in the train split; 1 is the natural prior, 0 the uniform one. An epoch keeps its
length: rare products are read several times, and common ones that are left out come in a later
epoch.

An example is read `floor(w (e + 1) + u) - floor(w e + u)` times in epoch e, where w is the expected
number of copies for its class and u in [0, 1) is drawn from product and seed. The expectation is
exact; after any number of epochs the read counts of two products of a class differ by at most one;
and what is read depends neither on the number of workers nor on where a run was stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from trainer.data.data_set import DataSet
from trainer.data.examples import BatchSpec

_BUCKETS = 1 << 30  # of the hash of a product id


def examples_per_epoch(
    stored: Sequence[int], products: Sequence[int], *, power: float | None
) -> tuple[float, ...]:
    """Returns the expected examples of each class in an epoch [C]; their sum is that of `stored`.

    Args:
      stored: Examples in the shards, copies included [C].
      products: Distinct products in the shards [C].
      power: Exponent of the products' counts; None reads the shards unchanged.
    """
    if power is None:
        return tuple(stored)
    weights = [
        float(count) ** power if present else 0.0
        for present, count in zip(stored, products, strict=True)
    ]
    scale = sum(stored) / sum(weights)
    return tuple(scale * weight for weight in weights)


def expected_copies(
    stored: Sequence[int], products: Sequence[int], *, power: float | None
) -> tuple[float, ...]:
    """Returns how often an example of each class is read in an epoch, expected [C].

    The arguments are those of `examples_per_epoch`.
    """
    expected = examples_per_epoch(stored, products, power=power)
    return tuple(count / max(present, 1) for count, present in zip(expected, stored, strict=True))


@dataclass(frozen=True)
class Sampler:
    """Which examples of an epoch are read, and how often.

    Attributes:
      fraction: Share of the products that is read at all, the same in every epoch.
      copies: Expected reads of an example in an epoch, by class [C]; None reads each once.
      seed: Seed of the draws.
    """

    fraction: float
    copies: tuple[float, ...] | None
    seed: int

    def sample(self, labels: tf.Tensor, product_ids: tf.Tensor, *, epoch: tf.Tensor) -> tf.Tensor:
        """Returns the rows to read, repeated as often as read: int64 [E] twice -> int32 [n]."""
        rows = tf.range(tf.size(labels))
        if self.copies is not None:
            phases = _uniform(product_ids, key=[self.seed, 1])
            rows = tf.repeat(rows, self._reads(labels, phases, epoch=tf.cast(epoch, tf.float64)))
        if self.fraction < 1:
            kept = in_fraction(product_ids, fraction=self.fraction, seed=self.seed)
            rows = tf.boolean_mask(rows, tf.gather(kept, rows))
        return rows

    def _reads(self, labels: tf.Tensor, phases: tf.Tensor, *, epoch: tf.Tensor) -> tf.Tensor:
        copies = tf.gather(tf.constant(self.copies, tf.float64), labels)
        before, after = tf.floor(copies * epoch + phases), tf.floor(copies * (epoch + 1) + phases)
        return tf.cast(after - before, tf.int32)


def build_sampler(data: DataSet, spec: BatchSpec) -> Sampler:
    """Builds the sampler of a run."""
    fraction, power = spec.input.sample_fraction, spec.input.sampling_power
    if power is None:
        return Sampler(fraction, None, spec.seed)
    train = data.split('train')
    stored = spec.example.count_per_class(train)
    copies = expected_copies(stored, train.products_per_class, power=power)
    return Sampler(fraction, copies, spec.seed)


def in_fraction(product_ids: tf.Tensor, *, fraction: float, seed: int) -> tf.Tensor:
    """Returns which products belong to a fraction of all, by a hash of id and seed: bool [E]."""
    return _uniform(product_ids, key=[seed, 0]) < fraction


def _uniform(product_ids: tf.Tensor, *, key: list[int]) -> tf.Tensor:
    """Hashes product ids to uniform numbers: int64 [E] -> float64 [E] in [0, 1)."""
    names = tf.strings.as_string(product_ids)
    buckets = tf.strings.to_hash_bucket_strong(names, _BUCKETS, key=key)
    return tf.cast(buckets, tf.float64) / _BUCKETS
