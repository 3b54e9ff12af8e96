"""Config of the input pipeline."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT, Fraction, ImageSide, PositiveFraction, PositiveInt


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SizeConfig:
    """An image size for the first steps of a run: see `data.progressive_resizing`.

    Attributes:
      until_step: The first step that does not use this size.
      height: Height in pixels.
      width: Width in pixels.
      ratio: JPEG are decoded at 1, 1/2, 1/4 or 1/8 of their size, which costs less, then fitted.
      decode_scale: Images are decoded at this multiple of the size, and the crop `resized` of
        augmentation brings them to the size: a crop keeps the detail of the picture.
    """

    until_step: PositiveInt
    height: ImageSide
    width: ImageSide
    ratio: Literal[1, 2, 4, 8] = 1
    decode_scale: Annotated[float, Field(ge=1, le=4)] = 1.0

    @property
    def decoded(self) -> tuple[int, int]:
        """Height and width of the images that augmentation takes."""
        return round(self.height * self.decode_scale), round(self.width * self.decode_scale)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InputConfig:
    """The input pipeline.

    Attributes:
      height: Height of the images that the model takes, in pixels.
      width: Width of the images that the model takes, in pixels.
      sizes: Image sizes of the first steps, in order.
      reading: What a host reads of an epoch: `shared`, all records, of which it decodes its part of
        each batch; `sharded`, its own part of the records alone.
      shuffle_records: Records that are shuffled together, read from up to 16 shards in turn; if
        reading is sharded, so many on each host.
      sampling_power: A class is read in proportion to its number of products to this power,
        whatever the shards hold: 1 is the natural prior, 0 the uniform one; None reads the shards
        unchanged.
      sample_fraction: Share of the train products that the run learns from, the same in every
        epoch; drawn by product and seed, so that each class keeps about this share.
      decoder: Decoder of JPEG, both with the same pixels: `simplejpeg` decodes in Python into the
        batch, `tensorflow` in the graph, where an undecodable picture ends the run.
      cache: Whether the train split is kept decoded in memory; the batches are the same.
      deterministic: False fills a batch with the examples that are ready first. None is dropped or
        repeated, but two runs differ, and a stopped run cannot resume.
      max_undecodable: Largest share of the pictures read that may be undecodable; these are passed
        over. One picture in each epoch always may be.
      features: Whether the run learns from a feature cache (`trainer.features`) instead of
        pictures. The backbone is frozen: fusion and last layer learn.
    """

    height: ImageSide = 180
    width: ImageSide = 180
    sizes: tuple[SizeConfig, ...] = ()
    reading: Literal['shared', 'sharded'] = 'shared'
    shuffle_records: PositiveInt = 10_000
    sampling_power: Fraction | None = None
    sample_fraction: PositiveFraction = 1.0
    decoder: Literal['simplejpeg', 'tensorflow'] = 'simplejpeg'
    cache: bool = False
    deterministic: bool = True
    max_undecodable: Fraction = 0.0001
    features: bool = False

    def __post_init__(self) -> None:
        steps = [size.until_step for size in self.sizes]
        if any(later <= step for step, later in pairwise(steps)):
            raise ValueError(f'sizes must have increasing until_step, got {steps}')
        others = {
            'cache': self.cache,
            'deterministic=False': not self.deterministic,
            'features': self.features,
        }
        for name, holds in others.items():
            if self.sizes and holds:
                raise ValueError(f'sizes must be empty with {name}, got {len(self.sizes)}')
        if self.cache and self.features:
            raise ValueError('cache must be false with features, got both')
        if self.cache and self.reading == 'sharded':
            raise ValueError(
                'cache must be false with reading sharded, got both: a host reads other records in '
                'each epoch'
            )
