"""The part of a config that says what comes in."""

from itertools import pairwise
from typing import Literal

from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT, Count, Fraction, PositiveFraction, Size


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SizeConfig:
    """A size of pictures that a run begins with: see trainer/sizes.py.

    Attributes:
      until_step: the first step that no longer takes it.
      height: in pixels.
      width: likewise.
      ratio: JPEG are decoded at 1, 1/2, 1/4 or 1/8 of their size, which costs less, then fitted.
    """

    until_step: Count
    height: Size
    width: Size
    ratio: Literal[1, 2, 4, 8] = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InputConfig:
    """What comes in.

    Attributes:
      height: of the pictures that the model takes, in pixels.
      width: likewise.
      sizes: that training takes before, in turn.
      shuffle_records: records, read from up to 16 shards by turns, that are mixed at a time.
      sampling_power: a class is seen as often as its number of products to this power, whatever the
        shards hold: 1 is the shop as it is, 0 all classes alike; None takes the shards as they are.
      sample_fraction: of the train products, the same in every epoch, that the run learns from;
        drawn by product and seed, so each class keeps about this share.
      decoder: of JPEG, to the same pixels: simplejpeg, which is Python, straight into the batch, or
        tensorflow, in the graph.
      cache: the pictures of the train split lie decoded in memory; nothing else changes.
      deterministic: False lets a batch hold what is ready first. Nothing is dropped or doubled, but
        two runs differ, and one that was stopped cannot go on.
      features: learns from a cache of features (trainer.features) in the place of pictures. The
        backbone that made them stands still: what is behind it alone learns, fusion and last layer.
    """

    height: Size = 180
    width: Size = 180
    sizes: tuple[SizeConfig, ...] = ()
    shuffle_records: Count = 10_000
    sampling_power: Fraction | None = None
    sample_fraction: PositiveFraction = 1.0
    decoder: Literal['simplejpeg', 'tensorflow'] = 'simplejpeg'
    cache: bool = False
    deterministic: bool = True
    features: bool = False

    def __post_init__(self) -> None:
        steps = [size.until_step for size in self.sizes]
        if any(later <= step for step, later in pairwise(steps)):
            raise ValueError(f'sizes must be in order of until_step, got {steps}')
        others = {
            'cache': self.cache,
            'deterministic=False': not self.deterministic,
            'features': self.features,
        }
        for name, holds in others.items():
            if self.sizes and holds:
                raise ValueError(f'sizes must be empty with {name}, got {len(self.sizes)}')
        if self.cache and self.features:
            raise ValueError('cache must be off with features, which lie on disk, got both')
