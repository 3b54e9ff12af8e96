"""Class sizes and pictures per product. Pure: reads no file, draws no random number."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Products with 1, 2, 3 and 4 pictures in Kaggle's train.bson.
PRODUCTS_BY_VIEWS = (4_369_441, 1_128_588, 542_792, 1_029_075)

# Quantiles of the pictures per class in Kaggle's train.bson, over its 5,270 classes.
_QUANTILES = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1)
_PICTURES = (12, 20, 37, 56, 129, 362, 1_287, 3_904, 8_803, 47_724, 80_348)

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def exponential_sizes(largest: int, *, classes: int, imbalance: float) -> list[int]:
    """Returns the class sizes of long-tailed CIFAR (Cui et al. 2019): largest * imb^(-i/(C-1)).

    Sizes are rounded down, as in the paper. Class 0 is the largest; class C-1 is `imbalance` times
    smaller.
    """
    if classes == 1:
        return [largest]
    return [int(largest * imbalance ** -(i / (classes - 1))) for i in range(classes)]


def kaggle_weights(classes: int) -> FloatArray:
    """Returns class weights with the tail of Kaggle's train.bson, ascending, float64 [classes].

    The logarithm of the size is interpolated linearly between the known quantiles.
    """
    middles = (np.arange(classes) + 0.5) / classes
    return np.exp(np.interp(middles, _QUANTILES, np.log(_PICTURES)))


def apportion(total: int, weights: Sequence[float] | FloatArray, *, minimum: int = 0) -> IntArray:
    """Apportions `total` by weight, by the largest remainder method, int64 [weights].

    Each part is at least `minimum`, at the expense of the larger parts. The minimum is ignored if
    `total` is too small for it.
    """
    share = np.asarray(weights, np.float64)
    parts = np.full(len(share), minimum, np.int64)
    free = np.ones(len(share), bool)
    if minimum * len(share) > total:
        minimum = 0
    while free.any():
        left = total - minimum * int((~free).sum())
        exact = left * share / share[free].sum()
        small = free & (exact < minimum)
        if not small.any():
            parts[free] = _largest_remainder(left, exact[free])
            break
        free &= ~small
    return parts


def _largest_remainder(total: int, exact: FloatArray) -> IntArray:
    parts = np.floor(exact).astype(np.int64)
    order = np.argsort(parts - exact, kind='stable')  # greatest remainder first
    parts[order[: total - int(parts.sum())]] += 1
    return parts
