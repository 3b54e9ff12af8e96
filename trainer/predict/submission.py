"""`submission.csv`: a row a product, in Kaggle's form, with more columns if they are asked for.

`_id,category_id`, then `category_id_2` to `_k`, `confidence` and `confidence_2` to `_k`, `level`.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import UserError


@dataclass(frozen=True)
class Columns:
    """Which columns there are.

    Attributes:
      top_k: categories a product, 1 or more.
      confidence: whether each has its confidence beside it.
      level: whether there is the deepest level that can be trusted, 0 to 3.
    """

    top_k: int = 1
    confidence: bool = False
    level: bool = False

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UserError(f'--top_k must be at least 1, got {self.top_k}')

    def header(self) -> str:
        """The first line."""
        ranks = ['', *(f'_{rank}' for rank in range(2, self.top_k + 1))]
        names = ['_id', *(f'category_id{rank}' for rank in ranks)]
        names += [f'confidence{rank}' for rank in ranks] if self.confidence else []
        return ','.join([*names, *(['level'] if self.level else [])]) + '\n'


@dataclass(frozen=True)
class Answer:
    """What is said of a product.

    Attributes:
      category_ids: the shop's numbers, the likeliest first; fewer than `top_k` leave columns empty.
      confidences: of these.
      level: the deepest that can be trusted.
    """

    category_ids: Sequence[int]
    confidences: Sequence[float]
    level: int


def row(product_id: int, answer: Answer, columns: Columns) -> str:
    """A line."""
    cells: list[Any] = [product_id, *_filled(answer.category_ids, columns.top_k)]
    if columns.confidence:
        cells += _filled([f'{value:.6f}' for value in answer.confidences], columns.top_k)
    if columns.level:
        cells.append(answer.level)
    return ','.join(map(str, cells)) + '\n'


def _filled(values: Sequence[Any], count: int) -> list[Any]:
    return [*values[:count], *[''] * (count - len(values))]
