"""How often the products of a class are read in an epoch. Pure: knows no file and no TensorFlow.

Shards hold classes as often as the shard job wrote them. Reading may change that: with
`input.sampling_power` p, a step sees a class as often as `count ** p`, by its products in the train
split; 1 is the shop as it is, 0 all classes alike. An epoch stays as long as the shards: what is
rare is read several times, of what is common some is passed over and comes in a later epoch.

An example's copies in epoch e are `floor(w (e + 1) + u) - floor(w e + u)`: w copies an epoch are
due to its class, and u in [0, 1) is drawn by product and seed. So the expectation is exact, after
any number of epochs no product of a class has been read more than once more often than another,
and what is read hangs neither on the workers nor on where a run was stopped. `copies` computes it.
"""

from collections.abc import Sequence


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
