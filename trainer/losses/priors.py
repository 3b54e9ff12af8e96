"""The class priors of a run, and the one rule that trains with one prior and predicts with another.

The shards have a class prior of their own, because rare classes are oversampled. The loss is
computed on `logits + log(prior of the shards) - log(target prior)`, so the softmax of the logits
alone follows the target prior, whatever the shards hold. With the uniform target this is balanced
softmax (Ren et al., 2020, arXiv:2007.10740); in general it is logit adjustment (Menon et al., 2021,
arXiv:2007.07314). The same difference of logarithms shifts a trained model to another prior, with
no retraining.

Every loss takes logits that this rule has shifted. Class weights are part of the rule: a step that
weights a class by w sees w times its share, and the logits still follow the target prior. A weight
then decides how much the errors of a class count, not how often the class is predicted.

Every prior is smoothed with one pseudo example per class. A class without examples then has a small
share and a finite logarithm; where it is missing from both priors, the two logarithms cancel.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.config.loss import LossConfig
from trainer.data.data_set import DataInfo

Shares = npt.NDArray[np.float64]  # [C]


@dataclass(frozen=True)
class Priors:
    """The class priors of a run, float64 [C] each, all above 0, each with the sum 1.

    Attributes:
      written: Shares of the examples in the train shards, as a step sees them.
      natural: Shares of the products in the source.
      weights: Class weights, float64 [C] with the mean 1; used from `reweight_from_step` on.
      target: The prior that the softmax of the logits follows. Without the rule, the prior that a
        step sees at the end, `written * weights`, normalized.
    """

    written: Shares
    natural: Shares
    weights: Shares
    target: Shares


def compute_priors(info: DataInfo, config: LossConfig) -> Priors:
    """Returns the class priors of a run."""
    examples = np.asarray(info.examples_per_class, np.float64)
    written = _smoothed(examples)
    natural = _smoothed(np.asarray(info.natural_prior) * examples.sum())
    weights = class_weights(written * examples.sum(), beta=config.effective_beta)
    if config.target_power is None:
        target = _normalized(written * weights)
    else:
        target = tempered(natural, power=config.target_power)
    return Priors(written=written, natural=natural, weights=weights, target=target)


def _smoothed(counts: Shares) -> Shares:
    return _normalized(counts + 1)


def tempered(prior: Shares, *, power: float) -> Shares:
    """Returns `prior ** power`, normalized: the prior itself at 1, the uniform prior at 0."""
    return _normalized(prior**power)


def _normalized(counts: Shares) -> Shares:
    shares: Shares = counts / counts.sum()
    return shares


def prior_shift(trained_for: Shares, *, target: Shares) -> npt.NDArray[np.float32]:
    """Returns the shift that changes the prior of logits: `log(target) - log(trained_for)`.

    The softmax of logits plus shift is Bayes' rule: the probabilities times `target / trained_for`,
    normalized. A temperature applies before the shift: it is fitted for the prior of training.

    Args:
      trained_for: The prior that the logits follow: `compute_priors(…).target` of the run, [C].
      target: The prior that the sum follows; of any scale, [C].

    Returns:
      float32 [C].

    Raises:
      ValueError: If the shapes differ or a share is not above 0.
    """
    if trained_for.shape != target.shape:
        raise ValueError(
            f'target must have the shape of trained_for {trained_for.shape}, got {target.shape}'
        )
    if not (np.all(trained_for > 0) and np.all(target > 0)):
        raise ValueError('the shares of both priors must be above 0; smooth them first')
    return np.log(_normalized(target) / trained_for).astype(np.float32)


def class_weights(counts: npt.NDArray[np.float64], *, beta: float) -> npt.NDArray[np.float64]:
    """Returns `(1 - beta) / (1 - beta^n)` of each class, scaled to the mean 1: float64 [C].

    The inverse of the effective number of images (Cui et al., 2019, arXiv:1901.05555, equation 2
    and section 4).

    Args:
      counts: Images of each class, above 0, [C].
      beta: In [0, 1); 0 weights all classes alike.
    """
    inverse = (1 - beta) / -np.expm1(counts * np.log(beta)) if beta else np.ones(len(counts))
    scaled: npt.NDArray[np.float64] = inverse / inverse.mean()
    return scaled
