"""Which product shows what: labels, wrong labels, pictures a product, repeated pictures. Pure.

A plan is columns, about 40 bytes a picture, so that a set of Kaggle's size is planned in memory
and written as a stream.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError
from catalog.samples import long_tail

# Kaggle's train.bson: 12,371,293 pictures, 7,772,910 of them unique.
REPEATED_SHARE = 1 - 7_772_910 / 12_371_293
# So that about 42 % of the test products share a picture with train.
TEST_REPEATED_SHARE = 0.3
WRONG_SHARE = 0.1
# So that about 1.5 % of the unique pictures come under two categories, as 114,209 of Kaggle's do:
# a product in the wrong place seldom shares its pictures with those in the right one.
WRONG_SHARING_SHARE = 0.2

IntArray = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Options:
    """What to plan.

    Attributes:
      products: in train.
      test_products: in test.
      classes: leaves of the tree.
      seed: another seed, another set.
    """

    products: int
    test_products: int
    classes: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.products < 1:
            raise UserError(f'products must be at least 1, got {self.products}')
        if self.test_products < 0:
            raise UserError(f'test_products must be at least 0, got {self.test_products}')
        if self.classes < 1:
            raise UserError(f'classes must be at least 1, got {self.classes}')


@dataclass(frozen=True)
class Plan:
    """P products with V pictures in all; a product's id is its place, from 0.

    Attributes:
      is_test: bool [P].
      label: the class that the shop says, int64 [P].
      shown: the class that the pictures show, int64 [P].
      first: where a product's pictures start, int64 [P + 1].
      source: the picture that this one repeats, or itself, int64 [V].
    """

    is_test: Bools
    label: IntArray
    shown: IntArray
    first: IntArray
    source: IntArray


def make(options: Options) -> Plan:
    """Plans the set. Its tail, shares and rates are Kaggle's.

    Every class has a train product if the products are enough for all of them. Where classes are
    so small that there is little to repeat, fewer pictures are repeated.
    """
    rng = np.random.default_rng([options.seed, 20])
    count = options.products + options.test_products
    is_test = rng.permutation(np.arange(count) < options.test_products)
    label = _labels(is_test, options, rng)
    shown = _shown(label, options.classes, rng)
    views_of = np.repeat([1, 2, 3, 4], long_tail.apportion(count, long_tail.PRODUCTS_BY_VIEWS))
    views = rng.permutation(views_of)
    first = np.concatenate([[0], np.cumsum(views)])
    group = _sharing_groups(label, shown, rng)
    source = _sources(group, is_test, first, rng)
    return Plan(is_test=is_test, label=label, shown=shown, first=first, source=source)


def _labels(is_test: Bools, options: Options, rng: np.random.Generator) -> IntArray:
    weights = rng.permutation(long_tail.kaggle_weights(options.classes))
    label = np.empty(len(is_test), np.int64)
    for side, products, minimum in (
        (~is_test, options.products, 1),
        (is_test, options.test_products, 0),
    ):
        sizes = long_tail.apportion(products, weights, minimum=minimum)
        label[side] = rng.permutation(np.repeat(np.arange(options.classes), sizes))
    return label


def _shown(label: IntArray, classes: int, rng: np.random.Generator) -> IntArray:
    """`label`, but another class, by the same tail, for one product in ten."""
    shown = label.copy()
    if len(np.unique(label)) < 2:
        return shown
    wrong = rng.permutation(len(label))[: round(WRONG_SHARE * len(label))]
    while len(wrong):
        shown[wrong] = rng.choice(label, len(wrong))
        wrong = wrong[shown[wrong] == label[wrong]]
    return shown


def _sharing_groups(label: IntArray, shown: IntArray, rng: np.random.Generator) -> IntArray:
    """Which products may share pictures: those of one number, int64 [P]."""
    product = np.arange(len(label))
    alone = (label != shown) & (rng.random(len(label)) >= WRONG_SHARING_SHARE)
    return np.where(alone, shown.max() + 1 + product, shown)


def _sources(
    group: IntArray, is_test: Bools, first: IntArray, rng: np.random.Generator
) -> IntArray:
    """The picture that each one repeats: one of an earlier train product of the same group."""
    views = np.diff(first)
    product = np.repeat(np.arange(len(group)), views)
    order = np.lexsort((product, is_test[product], group[product]))  # stable
    by_group, by_test = group[product[order]], is_test[product[order]]

    # In this order: where the group starts, and how many train pictures come before the product.
    place = np.arange(len(order))
    start = np.searchsorted(by_group, by_group, side='left')
    own_start = place - (order - first[product[order]])
    train_before = np.concatenate([[0], np.cumsum(~by_test)])
    choices = train_before[own_start] - train_before[start]

    repeats = np.concatenate(
        [
            _sample(rng, ~by_test & (choices > 0), share=REPEATED_SHARE, of=int((~by_test).sum())),
            _sample(rng, by_test & (choices > 0), share=TEST_REPEATED_SHARE, of=int(by_test.sum())),
        ]
    )
    earlier = place.copy()
    earlier[repeats] = start[repeats] + (rng.random(len(repeats)) * choices[repeats]).astype(int)
    while not np.array_equal(origin := earlier[earlier], earlier):
        earlier = origin
    source = np.empty_like(order)
    source[order] = order[earlier]
    return source


def _sample(rng: np.random.Generator, eligible: Bools, *, share: float, of: int) -> IntArray:
    """The places of `share` of `of`, as far as so many are eligible."""
    places = np.flatnonzero(eligible)
    return rng.permutation(places)[: round(share * of)]
