"""The part of a config that says how the views of a product become one answer."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT
from trainer.config.ranges import Count
from trainer.config.ranges import Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FusionConfig:
    """How the views of a product are fused: see trainer/fusion.py and docs/fusion.md.

    Attributes:
      name: `none` learns pictures, and a product is the mean of their probabilities; the others
        learn products, from the features of their views: `mean`, `max`, `gated` attention, or `mlp`
        (a layer on each view, their mean, a layer on that).
      max_views: of a product that count, its first ones; the others are left out.
      units: of the hidden layers of `gated` and `mlp`.
      dropout: share of the fused features that training leaves out, beside the model's own.
    """

    name: Literal['none', 'mean', 'max', 'gated', 'mlp'] = 'none'
    max_views: Annotated[int, Field(ge=1, le=64)] = 4
    units: Count = 128
    dropout: Share = 0.0

    @property
    def is_on(self) -> bool:
        """Whether an example is a product."""
        return self.name != 'none'
