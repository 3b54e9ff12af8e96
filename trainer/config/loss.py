"""The values of the loss, checked when made. What each does: docs/losses.md.

The part of a config that says from which model another learns, and how much.
"""

from typing import Literal

from pydantic.dataclasses import dataclass

from trainer.config.ranges import (
    STRICT,
    Fraction,
    Natural,
    NotNegative,
    Positive,
    PositiveFraction,
    Share,
)

_SMOOTHED = ('cross_entropy', 'ldam')


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossConfig:
    """The loss: see trainer/loss.py for the prior, trainer/losses for the rest.

    Attributes:
      name: `cross_entropy`, `focal`, `generalized` (for wrong labels) or `ldam` (rare classes get a
        margin).
      target_power: the model answers with the prior `natural ** target_power`, normalised: 1 is the
        natural prior, 0 the uniform one. None leaves the logits as they are: the model answers with
        the prior of what it sees.
      label_smoothing: share of the truth that is spread over all classes; of `cross_entropy` and
        `ldam`.
      focal_gamma: of `focal`: how little a picture counts that is known already; 0 is the
        cross-entropy.
      generalized_q: of `generalized`: from the cross-entropy (towards 0) to the mean absolute error
        (1), which wrong labels disturb least.
      ldam_margin: of `ldam`: of the rarest class, in logits.
      effective_beta: a class counts by the inverse of its effective number of pictures; 0 weighs
        all alike, towards 1 by the inverse of their number. 0.9999 is usual.
      reweight_from_step: the step, from 0, from which classes are weighed.
      levels: `leaf`, or the sum of the loss of the leaf and the cross-entropies of its two parents,
        whose probabilities are `summed` over their leaves or come from `heads` of their own.
    """

    name: Literal['cross_entropy', 'focal', 'generalized', 'ldam'] = 'cross_entropy'
    target_power: Fraction | None = 1.0
    label_smoothing: Share = 0.0
    focal_gamma: NotNegative = 2.0
    generalized_q: PositiveFraction = 0.7
    ldam_margin: Positive = 0.5
    effective_beta: Share = 0.0
    reweight_from_step: Natural = 0
    levels: Literal['leaf', 'summed', 'heads'] = 'leaf'

    def __post_init__(self) -> None:
        if self.label_smoothing and self.name not in _SMOOTHED:
            raise ValueError(
                f'loss.label_smoothing must be 0 for {self.name}, got {self.label_smoothing}; '
                f'it is of {" and ".join(_SMOOTHED)}'
            )
        if self.reweight_from_step and not self.effective_beta:
            raise ValueError(
                'loss.reweight_from_step must be 0 where loss.effective_beta is 0, got '
                f'{self.reweight_from_step}: there are no weights'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DistillConfig:
    """Knowledge distillation: see trainer/teacher.py.

    Attributes:
      teacher: workdir of a run, or of an ensemble; None for none.
      weight: of what the teacher says in the loss; the rest is the labels'.
      temperature: that softens both opinions: the higher, the more the unlikely classes count.
    """

    teacher: str | None = None
    weight: Fraction = 0.5
    temperature: Positive = 2.0
