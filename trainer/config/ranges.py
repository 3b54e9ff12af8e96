"""The ranges that the config's fields share, and how strictly they are read."""

from typing import Annotated

import pydantic
from pydantic import Field

STRICT = pydantic.ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=8, le=2048)]
Share = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
