"""Plans a synthetic data set: labels, wrong labels, pictures per product, duplicate images. Pure.

A plan consists of columns, about 40 bytes per picture, so that a plan of Kaggle's size fits in
memory and the data set is written as a stream.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError
from catalog.samples import long_tail

# Kaggle's train.bson: 12,371,293 pictures, 7,772,910 of them unique.
REPEATED_SHARE = 1 - 7_772_910 / 12_371_293
# Chosen so that about 42 % of the test products share a picture with train.
TEST_REPEATED_SHARE = 0.3
WRONG_SHARE = 0.1
# Chosen so that about 1.5 % of the unique pictures occur in two categories, as 114,209 of Kaggle's
# do: a mislabelled product seldom shares pictures with products of the class that it shows.
WRONG_SHARING_SHARE = 0.2

IntArray = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Options:
    """Options of the plan.

    Attributes:
      products: Number of train products.
      test_products: Number of test products.
      classes: Number of leaves of the category tree.
      seed: Seed of all random draws.
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
    """P products with V pictures in total; a product's id is its index, from 0.

    Attributes:
      is_test: Whether the product is in test, bool [P].
      label: The shop's label, int64 [P].
      shown: The class that the pictures show, int64 [P].
      first: The product's first picture, int64 [P + 1].
      source: The picture that this one duplicates, or itself, int64 [V].
    """

    is_test: Bools
    label: IntArray
    shown: IntArray
    first: IntArray
    source: IntArray


def build_plan(options: Options) -> Plan:
    """Plans a data set with Kaggle's tail, shares and rates.

    Every class has a train product if there are enough products. The share of duplicate images is
    lower if the classes are too small for it.
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
    """Returns `label`, with another class, drawn by the same tail, for one product in ten."""
    shown = label.copy()
    if len(np.unique(label)) < 2:
        return shown
    wrong = rng.permutation(len(label))[: round(WRONG_SHARE * len(label))]
    while len(wrong):
        shown[wrong] = rng.choice(label, len(wrong))
        wrong = wrong[shown[wrong] == label[wrong]]
    return shown


def _sharing_groups(label: IntArray, shown: IntArray, rng: np.random.Generator) -> IntArray:
    """Returns the group of each product, int64 [P]. Products of a group may share pictures."""
    product = np.arange(len(label))
    own_group = (label != shown) & (rng.random(len(label)) >= WRONG_SHARING_SHARE)
    return np.where(own_group, shown.max() + 1 + product, shown)


def _sources(
    group: IntArray, is_test: Bools, first: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draws the picture that each one duplicates, from an earlier train product of its group."""
    views = np.diff(first)
    product = np.repeat(np.arange(len(group)), views)
    order = np.lexsort((product, is_test[product], group[product]))  # stable
    by_group, by_test = group[product[order]], is_test[product[order]]

    # In this order: the start of the group, and the number of train pictures before the product.
    place = np.arange(len(order))
    start = np.searchsorted(by_group, by_group, side='left')
    own_start = place - (order - first[product[order]])
    train_before = np.concatenate([[0], np.cumsum(~by_test)])
    choices = train_before[own_start] - train_before[start]

    repeats = np.concatenate(
        [
            _sample(
                rng, ~by_test & (choices > 0), share=REPEATED_SHARE, total=int((~by_test).sum())
            ),
            _sample(
                rng, by_test & (choices > 0), share=TEST_REPEATED_SHARE, total=int(by_test.sum())
            ),
        ]
    )
    earlier = place.copy()
    earlier[repeats] = start[repeats] + (rng.random(len(repeats)) * choices[repeats]).astype(int)
    while not np.array_equal(origin := earlier[earlier], earlier):
        earlier = origin
    source = np.empty_like(order)
    source[order] = order[earlier]
    return source


def _sample(rng: np.random.Generator, eligible: Bools, *, share: float, total: int) -> IntArray:
    """Draws eligible places: `share` of `total`, or all if there are fewer."""
    places = np.flatnonzero(eligible)
    return rng.permutation(places)[: round(share * total)]
