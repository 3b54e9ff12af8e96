"""The part of a config that says from which model another learns, and how much."""

from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT
from trainer.config.ranges import Fraction
from trainer.config.ranges import Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DistillConfig:
    """Knowledge distillation: see trainer/teacher.py.

    Attributes:
      teacher: workdir of a run, or of an ensemble; None for none.
      weight: of what the teacher says in the loss; the rest is the labels'.
      temperature: that softens both opinions: the higher, the more the unlikely classes count.
    """

    teacher: str | None = None
    weight: Fraction = 0.5
    temperature: Positive = 2.0
