"""The types of config fields with a range, and the strictness of their validation."""

from typing import Annotated

import pydantic
from pydantic import Field

STRICT = pydantic.ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
ImageSide = Annotated[int, Field(ge=8, le=2048)]
Share = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
