"""The answers of a query as JSON and as text: predictions, and the images that they belong to."""

from dataclasses import dataclass
from typing import Any

from serving.clients.prediction import Prediction, RankedCategory


@dataclass(frozen=True)
class Answer:
    """A prediction and its images.

    Attributes:
      paths: The images: one, or the views of a product.
      prediction: Their categories.
    """

    paths: tuple[str, ...]
    prediction: Prediction

    def to_json(self) -> dict[str, Any]:
        """Returns `image` (for a product, `images` and `level`) and `predictions`."""
        categories = [_category_to_json(category) for category in self.prediction.categories]
        if self.prediction.level is None:
            return {'image': self.paths[0], 'predictions': categories}
        return {
            'images': list(self.paths),
            'level': self.prediction.level,
            'predictions': categories,
        }

    def to_text(self) -> str:
        """Returns readable lines: the images, then one line per category."""
        lines = [', '.join(self.paths)]
        if self.prediction.level is not None:
            lines[0] += f': confident down to level {self.prediction.level}'
        for rank, category in enumerate(self.prediction.categories, 1):
            shown_id = category.category_id if category.code is None else category.code
            lines.append(
                f'  {rank}. {category.confidence:6.1%}  {category.path}  (category {shown_id})'
            )
        return '\n'.join(lines)


def _category_to_json(category: RankedCategory) -> dict[str, Any]:
    """Returns `label`, `category_id`, `confidence`, `level1`, …, and `category_code`."""
    return {
        'label': category.label,
        'category_id': category.category_id,
        'confidence': category.confidence,
        **{f'level{number}': name for number, name in enumerate(category.levels, start=1)},
        **({} if category.code is None else {'category_code': category.code}),
    }
