"""The columns of a file of predictions: one row per product, in Kaggle's order.

`_id,category_id`, then `category_id_2` to `_k`, `confidence` and `confidence_2` to `_k`, `level`,
`true_category_id`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.errors import UserError


@dataclass(frozen=True)
class Columns:
    """The columns of the file.

    Attributes:
      top_k: Number of categories for each product, 1 or more.
      confidence: Whether to write the confidence of each category.
      level: Whether to write the deepest level whose confidence reaches the threshold, from 0.
      true_category: Whether to write the category that the input gives.
    """

    top_k: int = 1
    confidence: bool = False
    level: bool = False
    true_category: bool = False

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UserError(f'--top_k must be at least 1, got {self.top_k}')

    def names(self) -> list[str]:
        """Returns the names of the columns."""
        names = ['_id', *self._ranked('category_id')]
        names += self._ranked('confidence') if self.confidence else []
        names += ['level'] if self.level else []
        names += ['true_category_id'] if self.true_category else []
        return names

    def _ranked(self, name: str) -> list[str]:
        return [name, *(f'{name}_{rank}' for rank in range(2, self.top_k + 1))]


@dataclass(frozen=True)
class ProductPrediction:
    """The prediction for a product.

    Attributes:
      category_ids: The likeliest first; if there are fewer than `top_k`, columns stay empty.
      confidences: Of these categories.
      level: The deepest level whose confidence reaches the threshold.
    """

    category_ids: Sequence[int | str]
    confidences: Sequence[float]
    level: int


@dataclass(frozen=True)
class Row:
    """What is written about a product.

    Attributes:
      product_id: The shop's id.
      prediction: The prediction.
      true_category: The category that the input gives, None if it gives none.
    """

    product_id: int | str
    prediction: ProductPrediction
    true_category: int | str | None = None
