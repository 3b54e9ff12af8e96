"""The values of the update: optimizer, learning rate by step, groups of weights."""

import itertools
import re
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config.ranges import (
    STRICT,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Share,
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScheduleConfig:
    """The learning rate by step, as a factor of `optimizer.learning_rate`.

    Attributes:
      name: `constant`; `cosine` or `polynomial`, to `end_factor` at the last step; `exponential`;
        `piecewise`, a drop at each of `boundaries`; `cyclical` (Smith, 2017), between `end_factor`
        and 1; `plateau`, a drop where `plateau_metric` of the evaluations no longer gets better.
      warmup_steps: the rate rises from 0 over so many steps, before the schedule begins.
      end_factor: what is left at the last step; the floor of `cyclical` and `plateau`.
      power: of `polynomial`; 1 is a straight line.
      decay_factor: of `exponential`: what is left after each `decay_steps`.
      decay_steps: of `exponential`.
      staircase: `exponential` falls at once after each `decay_steps`, not little by little.
      drop_factor: of `piecewise` and `plateau`: what is left after a drop. 0.2 divides by 5.
      boundaries: of `piecewise`: the steps, from 0, at which the rate drops.
      cycle: of `cyclical`: the peaks stay (`triangular`), halve with each cycle (`triangular2`) or
        shrink by `cycle_decay` with each step (`exp_range`).
      cycle_steps: of `cyclical`: up and down again.
      cycle_decay: of `exp_range`.
      plateau_metric: of the evaluations, e.g. `loss` or `accuracy`.
      plateau_goal: whether it should get lower (`min`) or higher (`max`).
      patience: of `plateau`: evaluations without a gain before a drop.
      cooldown: of `plateau`: evaluations after a drop that do not count.
      min_delta: of `plateau`: the smallest change that is a gain.
    """

    name: Literal[
        'constant', 'cosine', 'exponential', 'polynomial', 'piecewise', 'cyclical', 'plateau'
    ] = 'constant'
    warmup_steps: NonNegativeInt = 0
    end_factor: Fraction = 0.0
    power: PositiveFloat = 1.0
    decay_factor: PositiveFraction = 0.9
    decay_steps: PositiveInt = 1000
    staircase: bool = False
    drop_factor: PositiveFraction = 0.2
    boundaries: tuple[PositiveInt, ...] = ()
    cycle: Literal['triangular', 'triangular2', 'exp_range'] = 'triangular'
    cycle_steps: PositiveInt = 4000
    cycle_decay: PositiveFraction = 0.9999
    plateau_metric: str = 'loss'
    plateau_goal: Literal['min', 'max'] = 'min'
    patience: PositiveInt = 2
    cooldown: NonNegativeInt = 0
    min_delta: NonNegativeFloat = 1e-4

    def __post_init__(self) -> None:
        if any(before >= after for before, after in itertools.pairwise(self.boundaries)):
            raise ValueError(f'schedule.boundaries must rise, got {list(self.boundaries)}')
        if (self.name == 'piecewise') != bool(self.boundaries):
            raise ValueError(
                'schedule.boundaries must be given for piecewise, and for it alone, got '
                f'{list(self.boundaries)} for {self.name}'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GroupConfig:
    """Weights that learn at a pace of their own. The first group that fits a weight has it.

    Attributes:
      pattern: a regular expression, looked for in the weight's path: `LAYER/WEIGHT`, or
        `MODEL/LAYER/WEIGHT` within a backbone, e.g. `^inception_v3/` or `^logits/`.
      rate: factor of the learning rate. 0 freezes: layers of which all weights are frozen compute
        no gradients, and their batch normalisation keeps its averages.
      from_step: the weights stand still before this step, from 0. (Their gradients are computed
        and fill the optimizer's averages; batch normalisation goes on averaging.)
    """

    pattern: str
    rate: NonNegativeFloat = 1.0
    from_step: NonNegativeInt = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f'groups.pattern must be a regular expression, got {self.pattern!r}: {error}'
            ) from error


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OptimizerConfig:
    """The update.

    Attributes:
      name: `sgd`, `adam`, `adamw`, `nadam`, or `lamb` for large batches.
      learning_rate: at its height.
      momentum: of `sgd`.
      nesterov: of `sgd`.
      weight_decay: decoupled; of `adamw` and `lamb`. Never of biases and normalisation.
      schedule: the learning rate by step.
      groups: weights that learn more slowly, later or not at all.
    """

    name: Literal['sgd', 'adam', 'adamw', 'nadam', 'lamb'] = 'adam'
    learning_rate: PositiveFloat = 1e-3
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 1e-4
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    groups: tuple[GroupConfig, ...] = ()
