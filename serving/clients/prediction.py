"""The predictions in a model's outputs, the same for both transports.

A confidence is a float32. Both transports give the Python float of the same value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving.operations.errors import ServingError
from serving.operations.predict import Array, Outputs
from serving.protocol.status import Code

_LEVEL = re.compile(r'level[1-9]')


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

    @property
    def path(self) -> str:
        """The names of the category, with ` > ` in between."""
        return ' > '.join(filter(None, self.levels))


@dataclass(frozen=True)
class Prediction:
    """The top-k categories of one image or of one product.

    Attributes:
      categories: The top-k categories, most confident first.
      level: For a product, the deepest level, from 1, whose confidence passes the threshold, or 0
        if none does; None for an image.
    """

    categories: tuple[RankedCategory, ...]
    level: int | None = None


def parse_outputs(outputs: Outputs, *, count: int, of_products: bool = False) -> list[Prediction]:
    """Returns the predictions in a model's outputs.

    Args:
      outputs: The outputs by name.
      count: Number of images, or of products.
      of_products: Whether they are of products, which have a level.

    Raises:
      ServingError: If the outputs are not those of this project's models.
    """
    levels = max(1, sum(_LEVEL.fullmatch(name) is not None for name in outputs))
    kinds = {'label': 'iu', 'category_id': 'iu', 'confidence': 'f'}
    kinds |= {f'level{number}': 'O' for number in range(1, levels + 1)}
    kinds |= {'category_code': 'O'} if 'category_code' in outputs else {}
    if not _have_rows(outputs, kinds, count=count, of_products=of_products):
        required = [*kinds, *(['level'] if of_products else [])]
        raise ServingError(
            f'the model must return {count} rows of {required}, got '
            f'{ {name: array.shape for name, array in outputs.items()} }',
            code=Code.INTERNAL,
        )
    columns = {name: outputs[name].tolist() for name in kinds}
    reached = outputs['level'].tolist() if of_products else [None] * count
    return [
        Prediction(
            tuple(
                _category(dict(zip(columns, values, strict=True)), levels)
                for values in zip(*(column[row] for column in columns.values()), strict=True)
            ),
            level=reached[row],
        )
        for row in range(count)
    ]


def _have_rows(outputs: Outputs, kinds: dict[str, str], *, count: int, of_products: bool) -> bool:
    """Returns whether there are all outputs [count, k], and `level` [count], of the right kind."""
    found = [outputs[name] for name in kinds if name in outputs]
    if len(found) < len(kinds) or found[0].ndim != 2 or len(found[0]) != count:
        return False
    if any(array.shape != found[0].shape for array in found):
        return False
    if any(a.dtype.kind not in kind for a, kind in zip(found, kinds.values(), strict=True)):
        return False
    return not of_products or _is_level(outputs.get('level'), count)


def _is_level(level: Array | None, count: int) -> bool:
    return level is not None and level.shape == (count,) and level.dtype.kind in 'iu'


def _category(values: dict[str, Any], levels: int) -> RankedCategory:
    names: Sequence[str] = [values[f'level{number}'] for number in range(1, levels + 1)]
    return RankedCategory(
        values['label'],
        values['category_id'],
        values['confidence'],
        tuple(names),
        values.get('category_code'),
    )
