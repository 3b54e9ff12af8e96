"""`submission.csv`: one row per product, in Kaggle's format, with optional columns.

`_id,category_id`, then `category_id_2` to `_k`, `confidence` and `confidence_2` to `_k`, `level`,
`true_category_id`.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

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

    def header(self) -> str:
        """Returns the first line."""
        ranks = ['', *(f'_{rank}' for rank in range(2, self.top_k + 1))]
        names = ['_id', *(f'category_id{rank}' for rank in ranks)]
        names += [f'confidence{rank}' for rank in ranks] if self.confidence else []
        names += ['level'] if self.level else []
        names += ['true_category_id'] if self.true_category else []
        return ','.join(names) + '\n'


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


def format_row(
    product_id: int | str,
    prediction: ProductPrediction,
    true_category: int | str | None,
    columns: Columns,
) -> str:
    """Returns the line of a product."""
    cells: list[Any] = [_quote(product_id)]
    cells += _pad(map(_quote, prediction.category_ids), columns.top_k)
    if columns.confidence:
        cells += _pad([f'{value:.6f}' for value in prediction.confidences], columns.top_k)
    if columns.level:
        cells.append(prediction.level)
    if columns.true_category:
        cells.append('' if true_category is None else _quote(true_category))
    return ','.join(map(str, cells)) + '\n'


def _pad(values: Iterable[Any], count: int) -> list[Any]:
    found = list(itertools.islice(values, count))
    return [*found, *[''] * (count - len(found))]


def _quote(value: int | str) -> int | str:
    """Returns an id as a CSV cell; codes, keys and paths may contain commas."""
    if isinstance(value, str) and any(character in value for character in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value
