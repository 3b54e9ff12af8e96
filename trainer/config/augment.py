"""The values of augmentation, checked when made. What each does, and its paper: docs/losses.md."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT, Fraction, Natural, NotNegative, PositiveFraction, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AugmentConfig:
    """What training does to a picture that evaluation does not, in this order.

    Attributes:
      crop: `pad`: a piece of the picture's size, cut where its edges are repeated outwards;
        `resized`: a piece of another size and shape, scaled to the picture's; or `none`.
      crop_padding: of `pad`: share of a side that a picture moves by at most.
      crop_area: of `resized`: share of the area that is kept at least.
      flip: mirrors half of the pictures, left to right.
      rand_augment_ops: operations drawn for each picture; 0 for none.
      rand_augment_magnitude: their strength, from 0 to 10.
      brightness: the factor lies between 1 - x and 1 + x; `contrast` and `saturation` likewise.
      contrast: see `brightness`.
      saturation: see `brightness`.
      hue: turned by at most this share of the circle, either way.
      erase: share of the pictures in which a rectangle is painted over.
      mixup: alpha of the Beta distribution that two pictures are blended by; 0 for none.
      cutmix: alpha of the one that decides how much of a picture a rectangle of another covers; 0
        for none. With both, each has half of the pictures.
    """

    crop: Literal['none', 'pad', 'resized'] = 'none'
    crop_padding: Share = 0.125
    crop_area: PositiveFraction = 0.35
    flip: bool = True
    rand_augment_ops: Natural = 0
    rand_augment_magnitude: Annotated[float, Field(ge=0, le=10)] = 9.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    erase: Fraction = 0.0
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0

    @property
    def colours(self) -> bool:
        """Whether colours are changed."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))

    @property
    def mixes(self) -> bool:
        """Whether a picture has a part of another."""
        return bool(self.mixup or self.cutmix)
