"""Config of augmentation. The operations and their papers are in docs/losses.md."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config.ranges import (
    STRICT,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFraction,
    Share,
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AugmentConfig:
    """Augmentation of training images, in this order.

    Attributes:
      crop: `pad`: a crop of the image's own size, after its edges are repeated outwards; `resized`:
        a crop of random size and aspect ratio, resized to the image's size; or `none`.
      crop_padding: For `pad`: maximum shift, as a share of a side.
      crop_area: For `resized`: minimum share of the area that is kept.
      flip: Whether half of the images are flipped left to right.
      rand_augment_ops: RandAugment operations for each image; 0 for none.
      rand_augment_magnitude: Magnitude of these operations, from 0 to 10.
      brightness: Maximum change x of the brightness, a factor in [1 - x, 1 + x].
      contrast: Maximum change of the contrast, as for `brightness`.
      saturation: Maximum change of the saturation, as for `brightness`.
      hue: Maximum rotation of the hue in either direction, as a share of the circle.
      erase: Share of the images in which a rectangle is erased.
      mixup: Alpha of the Beta distribution of the blending ratio of mixup; 0 for none.
      cutmix: Alpha of the Beta distribution of the area ratio of CutMix; 0 for none. With both,
        each is applied to half of the images.
    """

    crop: Literal['none', 'pad', 'resized'] = 'none'
    crop_padding: Share = 0.125
    crop_area: PositiveFraction = 0.35
    flip: bool = True
    rand_augment_ops: NonNegativeInt = 0
    rand_augment_magnitude: Annotated[float, Field(ge=0, le=10)] = 9.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    erase: Fraction = 0.0
    mixup: NonNegativeFloat = 0.0
    cutmix: NonNegativeFloat = 0.0

    @property
    def colours(self) -> bool:
        """Whether colors are augmented."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))

    @property
    def mixes(self) -> bool:
        """Whether images are mixed."""
        return bool(self.mixup or self.cutmix)
