"""Arranges the pictures of a request product by product, and checks their product numbers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from serving.protocol.status import invalid_argument

Int64s = npt.NDArray[np.int64]


class Arranged(NamedTuple):
    """The order of a request's pictures.

    Attributes:
      order: The picture at each place, int64 [M].
      product: The product of the picture at each place, in ascending order, int64 [M].
    """

    order: Int64s
    product: Int64s


def arrange(product: Int64s, *, pictures: int) -> Arranged:
    """Sorts pictures by product, those of a product in their order.

    Args:
      product: int64 [M], the product of each picture.
      pictures: M.

    Raises:
      RequestError: INVALID_ARGUMENT unless each picture has a product, and these are 0 to P-1.
    """
    if product.shape != (pictures,):
        raise invalid_argument(
            f'product must have one number per picture, got shape {list(product.shape)} for '
            f'{pictures} pictures'
        )
    numbers = np.unique(product)
    if not np.array_equal(numbers, np.arange(len(numbers))):
        raise invalid_argument(
            f'product must use every number from 0 to P-1, got {product[:10].tolist()}'
        )
    order = np.argsort(product, kind='stable')
    return Arranged(order, product[order])
