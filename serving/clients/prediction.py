"""Predictions, the same for both transports: from a model's outputs, to JSON and text.

A confidence is a float32. Both transports give the Python float of the same value.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import UserError
from serving.clients.request import Request

_LEVEL = re.compile(r'level[1-9]')

Outputs = Mapping[str, Sequence[Any]]  # output name -> nested lists of int, float and str


@dataclass(frozen=True)
class RankedCategory:
    """One category of a prediction.

    Attributes:
      label: Dense label.
      category_id: The shop's category number.
      confidence: Calibrated probability, 0 to 1.
      levels: Name of the category at each level of the tree; empty below the end of its path.
      code: The shop's category id, if its ids are not numbers.
    """

    label: int
    category_id: int
    confidence: float
    levels: tuple[str, ...]
    code: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns `label`, `category_id`, `confidence`, `level1`, …, and `category_code`."""
        return {
            'label': self.label,
            'category_id': self.category_id,
            'confidence': self.confidence,
            **{f'level{number}': name for number, name in enumerate(self.levels, start=1)},
            **({} if self.code is None else {'category_code': self.code}),
        }


@dataclass(frozen=True)
class Prediction:
    """The top-k categories of one image or of one product.

    Attributes:
      paths: The images of the request.
      categories: The top-k categories, most confident first.
      level: For a product, the deepest level, from 1, whose confidence passes the threshold, or 0
        if none does; None for an image.
    """

    paths: tuple[str, ...]
    categories: tuple[RankedCategory, ...]
    level: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns `image` (for a product, `images` and `level`) and `predictions`."""
        categories = [category.to_json() for category in self.categories]
        if self.level is None:
            return {'image': self.paths[0], 'predictions': categories}
        return {'images': list(self.paths), 'level': self.level, 'predictions': categories}

    def to_text(self) -> str:
        """Returns readable lines: the images, then one line per category."""
        lines = [', '.join(self.paths)]
        if self.level is not None:
            lines[0] += f': confident down to level {self.level}'
        for rank, category in enumerate(self.categories, 1):
            names = ' > '.join(filter(None, category.levels))
            shown_id = category.category_id if category.code is None else category.code
            lines.append(f'  {rank}. {category.confidence:6.1%}  {names}  (category {shown_id})')
        return '\n'.join(lines)


def parse_outputs(outputs: Outputs, request: Request) -> list[Prediction]:
    """Returns the predictions in a model's outputs.

    Raises:
      UserError: If the outputs are not those of this project's models.
    """
    codes = ['category_code'] if 'category_code' in outputs else []
    count = max(1, sum(_LEVEL.fullmatch(name) is not None for name in outputs))
    levels = [f'level{number}' for number in range(1, count + 1)]
    fields = ['label', 'category_id', 'confidence', *codes, *levels]
    required = [*fields, *(['level'] if request.product else [])]
    groups = [request.paths] if request.product else [(path,) for path in request.paths]
    try:
        rows = list(zip(groups, *(outputs[name] for name in required), strict=True))
        return [
            Prediction(
                paths=paths,
                categories=tuple(
                    _category(values, has_code=bool(codes))
                    for values in zip(*columns[: len(fields)], strict=True)
                ),
                level=int(columns[-1]) if request.product else None,
            )
            for paths, *columns in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        counts = {
            name: len(column) if isinstance(column, list) else column
            for name, column in outputs.items()
        }
        raise UserError(
            f'the model must return {len(groups)} rows of {required}, got {counts}'
        ) from error


def _category(values: Sequence[Any], *, has_code: bool) -> RankedCategory:
    label, category_id, confidence, *names = values
    code = names.pop(0) if has_code else None
    return RankedCategory(label, category_id, confidence, tuple(names), code)
