"""A question and its answers, the same over both transports. Sends nothing.

A confidence is a float32: whatever the transport, it becomes the Python float of the same value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError

SIGNATURES = ('serving_default', 'product')

Outputs = Mapping[str, Sequence[Any]]  # output name -> nested lists of int, float and str


@dataclass(frozen=True)
class Server:
    """Where a model is served."""

    address: str  # HOST:PORT
    model: str
    version: int | None = None  # None: the one that is served

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(':')
        if not host or '/' in host or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise UserError(f'--server must be HOST:PORT, got {self.address!r}')
        if not self.model:
            raise UserError('--model must be given')


@dataclass(frozen=True)
class Question:
    """Photos for a signature: each a question of its own, or all views of one product.

    Attributes:
      paths: for people.
      pictures: their bytes, encoded, in the same order.
      signature: one of SIGNATURES.
    """

    paths: tuple[str, ...]
    pictures: tuple[bytes, ...]
    signature: str

    def __post_init__(self) -> None:
        if self.signature not in SIGNATURES:
            raise UserError(f'--signature must be one of {SIGNATURES}, got {self.signature!r}')
        if not self.paths or len(self.paths) != len(self.pictures):
            raise UserError(f'--image must be given, got {len(self.paths)} photos')

    @property
    def product(self) -> tuple[int, ...] | None:
        """The product that each photo is of, for the signature that asks for it."""
        return (0,) * len(self.paths) if self.signature == 'product' else None


@dataclass(frozen=True)
class Prediction:
    """One category of the top k: its dense label, the shop's number, its path of names."""

    label: int
    category_id: int
    confidence: float
    level1: str
    level2: str
    level3: str


@dataclass(frozen=True)
class Answer:
    """The top-k categories of one photo, or of one product, best first.

    Attributes:
      paths: the photos that were asked about.
      predictions: best first.
      level: of a product: the deepest level, 1 to 3, that is sure enough, 0 for none; else None.
    """

    paths: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    level: int | None = None

    def as_json(self) -> dict[str, Any]:
        """`image` (or, of a product, `images` and `level`) and `predictions`."""
        predictions = [asdict(prediction) for prediction in self.predictions]
        if self.level is None:
            return {'image': self.paths[0], 'predictions': predictions}
        return {'images': list(self.paths), 'level': self.level, 'predictions': predictions}

    def as_text(self) -> str:
        """Lines for people."""
        lines = [', '.join(self.paths)]
        if self.level is not None:
            lines[0] += f': sure to level {self.level}'
        for rank, best in enumerate(self.predictions, 1):
            names = ' > '.join((best.level1, best.level2, best.level3))
            lines.append(
                f'  {rank}. {best.confidence:6.1%}  {names}  (category {best.category_id})'
            )
        return '\n'.join(lines)


def read(outputs: Outputs, question: Question) -> list[Answer]:
    """The answers in a model's outputs.

    Raises:
      UserError: if the outputs are not those of this project's model.
    """
    fields = Prediction.__annotations__
    wanted = [*fields, *(['level'] if question.product else [])]
    missing = sorted(set(wanted) - set(outputs))
    groups = [question.paths] if question.product else [(path,) for path in question.paths]
    if missing or any(len(outputs[name]) != len(groups) for name in wanted):
        raise UserError(
            f'the model must answer {len(groups)} rows of {wanted}, '
            f'got { ({name: len(rows) for name, rows in outputs.items()}) }'
        )
    return [
        Answer(
            paths=paths,
            predictions=tuple(
                Prediction(*values)
                for values in zip(*(outputs[name][row] for name in fields), strict=True)
            ),
            level=int(outputs['level'][row]) if question.product else None,
        )
        for row, paths in enumerate(groups)
    ]


def float32(value: Any) -> Any:
    """Nested lists of decimals as the Python floats of the nearest float32 values."""
    array: npt.NDArray[np.float32] = np.asarray(value, np.float32)
    return array.tolist()
