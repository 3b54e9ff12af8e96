"""Which products of a data set an index has already. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.similar.product_table import ProductTable

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Changes:
    """The differences between a data set of P products and an index.

    Attributes:
      kept_rows: Rows of the index whose products have the same pictures, ascending, int64 [K].
      kept_products: The product of the data set for each of them, int64 [K].
      is_fresh: Which products must be embedded, bool [P].
      changed: Number of products that have other pictures than in the index.
      removed: Number of products of the index that the data set does not have.
    """

    kept_rows: Int64s
    kept_products: Int64s
    is_fresh: Bools
    changed: int
    removed: int

    @property
    def only_adds(self) -> bool:
        """Whether every row of the index is kept."""
        return not self.changed and not self.removed


def compare(product_ids: Int64s, digests: UInt64s, indexed: ProductTable) -> Changes:
    """Compares a data set with an index.

    Args:
      product_ids: int64 [P], ascending.
      digests: Digests of their pictures, uint64 [P].
      indexed: The products of the index.
    """
    place = np.searchsorted(product_ids, indexed.product_ids)
    place = np.minimum(place, max(len(product_ids) - 1, 0))
    exists = product_ids[place] == indexed.product_ids
    same = exists & (digests[place] == indexed.digests)
    is_fresh = np.ones(len(product_ids), bool)
    is_fresh[place[same]] = False
    return Changes(
        kept_rows=np.flatnonzero(same),
        kept_products=place[same],
        is_fresh=is_fresh,
        changed=int((exists & ~same).sum()),
        removed=int((~exists).sum()),
    )


def all_fresh(product_ids: Int64s) -> Changes:
    """Returns the changes from an empty index."""
    none = np.empty(0, np.int64)
    return Changes(none, none, np.ones(len(product_ids), bool), 0, 0)
