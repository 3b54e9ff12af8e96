"""Config of the loss and of distillation. The losses and their papers are in docs/losses.md."""

from typing import Literal

from pydantic.dataclasses import dataclass

from trainer.config.ranges import (
    STRICT,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    Share,
)

_SMOOTHED = ('cross_entropy', 'ldam')


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossConfig:
    """The loss: see `losses.priors` for the prior rule and the room `losses` for the rest.

    Attributes:
      name: `cross_entropy`, `focal`, `generalized` (for noisy labels) or `ldam` (with margins for
        rare classes).
      target_power: The predictions follow the prior `natural ** target_power`, normalized: 1 is the
        natural prior, 0 the uniform one. None does not shift the logits: predictions follow the
        prior of the examples that are read.
      label_smoothing: Label smoothing of `cross_entropy` and `ldam`.
      focal_gamma: For `focal`: the exponent that down-weights easy examples; 0 is the
        cross-entropy.
      generalized_q: For `generalized`: from the cross-entropy (towards 0) to the mean absolute
        error (1), which is the most robust to wrong labels.
      ldam_margin: For `ldam`: margin of the rarest class, in logits.
      effective_beta: Classes are weighted by the inverse of their effective number of examples; 0
        weights all alike, towards 1 by the inverse of their number. 0.9999 is common.
      reweight_from_step: The step, from 0, from which classes are weighted.
      levels: `leaf`, or the sum of the loss of the leaf and the cross-entropies of its parents at
        each level above (two in a tree of three levels), whose probabilities are `summed` over
        their leaves or come from `heads` of their own. A tree of one level has only `leaf`.
    """

    name: Literal['cross_entropy', 'focal', 'generalized', 'ldam'] = 'cross_entropy'
    target_power: Fraction | None = 1.0
    label_smoothing: Share = 0.0
    focal_gamma: NonNegativeFloat = 2.0
    generalized_q: PositiveFraction = 0.7
    ldam_margin: PositiveFloat = 0.5
    effective_beta: Share = 0.0
    reweight_from_step: NonNegativeInt = 0
    levels: Literal['leaf', 'summed', 'heads'] = 'leaf'

    def __post_init__(self) -> None:
        if self.label_smoothing and self.name not in _SMOOTHED:
            raise ValueError(
                f'loss.label_smoothing must be 0 for {self.name}, got {self.label_smoothing}; '
                f'it works with {" and ".join(_SMOOTHED)}'
            )
        if self.reweight_from_step and not self.effective_beta:
            raise ValueError(
                'loss.reweight_from_step must be 0 if loss.effective_beta is 0, got '
                f'{self.reweight_from_step}: classes are not weighted'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DistillConfig:
    """Knowledge distillation: see `training.distillation`.

    Attributes:
      teacher: Workdir of a run or an ensemble; None for no teacher.
      weight: Weight of the teacher's part of the loss; the labels have the rest.
      temperature: Temperature of both softmaxes: the higher, the more unlikely classes count.
    """

    teacher: str | None = None
    weight: Fraction = 0.5
    temperature: PositiveFloat = 2.0
