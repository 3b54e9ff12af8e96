"""Predictions, the same for both transports: from a model's outputs, to JSON and text.

A confidence is a float32. Both transports give the Python float of the same value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from catalog.errors import UserError
from serving.clients.request import Request

Outputs = Mapping[str, Sequence[Any]]  # output name -> nested lists of int, float and str


@dataclass(frozen=True)
class RankedCategory:
    """One category of a prediction.

    Attributes:
      label: Dense label.
      category_id: The shop's category number.
      confidence: Calibrated probability, 0 to 1.
      level1: Name of the category at the first level of the tree.
      level2: Name at the second level.
      level3: Name at the third level.
    """

    label: int
    category_id: int
    confidence: float
    level1: str
    level2: str
    level3: str


@dataclass(frozen=True)
class Prediction:
    """The top-k categories of one image or of one product.

    Attributes:
      paths: The images of the request.
      categories: The top-k categories, most confident first.
      level: For a product, the deepest level (1 to 3) whose confidence passes the threshold, or 0
        if none does; None for an image.
    """

    paths: tuple[str, ...]
    categories: tuple[RankedCategory, ...]
    level: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns `image` (for a product, `images` and `level`) and `predictions`."""
        categories = [asdict(category) for category in self.categories]
        if self.level is None:
            return {'image': self.paths[0], 'predictions': categories}
        return {'images': list(self.paths), 'level': self.level, 'predictions': categories}

    def to_text(self) -> str:
        """Returns readable lines: the images, then one line per category."""
        lines = [', '.join(self.paths)]
        if self.level is not None:
            lines[0] += f': confident down to level {self.level}'
        for rank, category in enumerate(self.categories, 1):
            names = ' > '.join((category.level1, category.level2, category.level3))
            lines.append(
                f'  {rank}. {category.confidence:6.1%}  {names}  (category {category.category_id})'
            )
        return '\n'.join(lines)


def parse_outputs(outputs: Outputs, request: Request) -> list[Prediction]:
    """Returns the predictions in a model's outputs.

    Raises:
      UserError: If the outputs are not those of this project's models.
    """
    fields = list(RankedCategory.__annotations__)
    required = [*fields, *(['level'] if request.product else [])]
    groups = [request.paths] if request.product else [(path,) for path in request.paths]
    try:
        rows = list(zip(groups, *(outputs[name] for name in required), strict=True))
        return [
            Prediction(
                paths=paths,
                categories=tuple(
                    RankedCategory(*values) for values in zip(*columns[: len(fields)], strict=True)
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
