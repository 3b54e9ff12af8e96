"""Where a picture of a data set is."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """Where a picture is.

    Attributes:
      shard: Path of the shard file.
      product_id: The product's id.
      index: The picture's position in the product, from 0 (`image/index`).
    """

    shard: str
    product_id: int
    index: int

    def __str__(self) -> str:
        return f'{self.shard}: product {self.product_id}, picture {self.index}'
