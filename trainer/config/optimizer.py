"""The values of the update: optimizer, learning rate by step, parameter groups."""

import dataclasses
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

PlateauMetric = Literal[
    'accuracy',
    'top5_accuracy',
    'loss',
    'macro_precision',
    'macro_recall',
    'macro_f1',
    'weighted_precision',
    'weighted_recall',
    'weighted_f1',
    'micro_precision',
    'micro_recall',
    'micro_f1',
    'matthews',
    'kappa',
]
Goal = Literal['min', 'max']


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScheduleConfig:
    """The learning rate by step, as a factor of `optimizer.learning_rate`.

    Attributes:
      name: `constant`; `cosine` or `polynomial`, to `end_factor` at the last step; `exponential`;
        `piecewise`, a drop at each of `boundaries`; `cyclical` (Smith, 2017), between `end_factor`
        and 1; `plateau`, a drop when `plateau_metric` stops improving.
      warmup_steps: Steps of a linear warmup from 0, before the schedule begins.
      end_factor: Factor at the last step; the lower bound of `cyclical` and `plateau`.
      power: Exponent of `polynomial`; 1 is linear.
      decay_factor: Factor of `exponential` for each `decay_steps`.
      decay_steps: Steps of `exponential` for one `decay_factor`.
      staircase: Whether `exponential` drops once per `decay_steps` instead of at each step.
      drop_factor: Factor of each drop of `piecewise` and `plateau`; 0.2 divides by 5.
      boundaries: Steps of `piecewise`, from 0, at which the rate drops.
      cycle: Peaks of `cyclical`: constant (`triangular`), halved in each cycle (`triangular2`) or
        multiplied by `cycle_decay` in each step (`exp_range`).
      cycle_steps: Steps of a cycle, up and down.
      cycle_decay: Factor of `exp_range` per step.
      plateau_metric: Metric of the evaluations that `plateau` observes.
      plateau_goal: Whether the metric should fall (`min`) or rise (`max`). None follows from the
        metric: `min` for `loss`, `max` for the others.
      patience: Evaluations of `plateau` without an improvement before a drop.
      cooldown: Evaluations of `plateau` after a drop that do not count.
      min_delta: Smallest change that `plateau` counts as an improvement.
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
    plateau_metric: PlateauMetric = 'loss'
    plateau_goal: Goal | None = None
    patience: PositiveInt = 2
    cooldown: NonNegativeInt = 0
    min_delta: NonNegativeFloat = 1e-4

    def __post_init__(self) -> None:
        if any(before >= after for before, after in itertools.pairwise(self.boundaries)):
            raise ValueError(f'schedule.boundaries must rise, got {list(self.boundaries)}')
        if (self.name == 'piecewise') != bool(self.boundaries):
            raise ValueError(
                'schedule.boundaries must be given for piecewise, and only for it, got '
                f'{list(self.boundaries)} for {self.name}'
            )

    @property
    def effective_plateau_goal(self) -> Goal:
        """The goal, derived from the metric if it is not given."""
        return self.plateau_goal or ('min' if self.plateau_metric == 'loss' else 'max')


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GroupConfig:
    """A parameter group: weights with their own learning rate. The first matching group counts.

    Attributes:
      pattern: A regular expression, searched for in the path of a weight: `LAYER/WEIGHT`, or
        `MODEL/LAYER/WEIGHT` within a backbone, e.g. `^inception_v3/` or `^logits/`.
      rate: Factor of the learning rate. 0 freezes: layers with frozen weights only compute no
        gradients, and their batch norm keeps its moving statistics.
      from_step: Step, from 0, before which the weights do not change. (Their gradients are
        computed and update the optimizer's moments; batch norm updates its statistics.)
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
      learning_rate: The rate that the schedule multiplies.
      momentum: Momentum of `sgd`.
      nesterov: Whether `sgd` uses Nesterov momentum.
      weight_decay: Decoupled weight decay: each step takes `rate * weight_decay` of a weight, with
        the rate of its group. Biases and normalization are excluded. None is 1e-4 for `adamw` and
        `lamb`, 0 for the others.
      schedule: The learning rate by step.
      groups: Weights that learn more slowly, later or not at all.
    """

    name: Literal['sgd', 'adam', 'adamw', 'nadam', 'lamb'] = 'adam'
    learning_rate: PositiveFloat = 1e-3
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: NonNegativeFloat | None = None
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    groups: tuple[GroupConfig, ...] = ()

    @property
    def effective_weight_decay(self) -> float:
        """The weight decay, derived from the optimizer if it is not given."""
        if self.weight_decay is None:
            return 1e-4 if self.name in ('adamw', 'lamb') else 0.0
        return self.weight_decay

    def resolved(self) -> 'OptimizerConfig':
        """Returns the same config with all derived values given."""
        goal = self.schedule.effective_plateau_goal
        return dataclasses.replace(
            self,
            weight_decay=self.effective_weight_decay,
            schedule=dataclasses.replace(self.schedule, plateau_goal=goal),
        )
