"""Where a picture of a data set is."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """Where a picture is.

    Attributes:
      shard: Path of the shard file.
      product_id: The product's id, or the number of its key.
      index: The picture's position in the product, from 0 (`image/index`).
      key: The product's id as text if it is not an integer, else ''.
    """

    shard: str
    product_id: int
    index: int
    key: str = ''

    def __str__(self) -> str:
        return f'{self.shard}: product {self.key or self.product_id}, picture {self.index}'
