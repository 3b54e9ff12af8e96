"""The softmax rule that learns from one class prior and answers with another. Knows no model.

Shards hold classes with a prior of their own, because rare classes are written several times. The
loss is taken on `logits + log(prior of the shards) - log(target prior)`, so that the logits alone
answer with the target prior, whatever the shards hold. With the uniform target this is balanced
softmax (Ren et al., 2020, arXiv:2007.10740); in general logit adjustment (Menon et al., 2021,
arXiv:2007.07314).

It is the one rule for priors: every loss takes logits that it has shifted. Weights of classes are
part of it: a step that counts a class w times sees w times its share, and the logits answer with
the target all the same. Weights then say how much the errors of a class count, not how often it is
the answer.

Every prior gets one pseudo example a class, so that a class without examples has a small prior, not
none: its logarithm stays finite, and where it is missing on both sides the two cancel.

How much a class counts, by the effective number of its pictures. Cui et al., 2019.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.config import LossConfig
from trainer.data.data_set import DataInfo

Shares = npt.NDArray[np.float64]  # [C]


@dataclass(frozen=True)
class Priors:
    """Class shares, float64 [C] each, all above 0, each with a sum of 1.

    Attributes:
      written: of the examples in the train shards: what a step sees.
      natural: of the products in the source: what the world looks like.
      weights: how much a class counts, float64 [C], of mean 1; from `reweight_from_step` on.
      target: what the model's own logits answer with; without the rule, what a step sees at last,
        `written * weights` normalised.
    """

    written: Shares
    natural: Shares
    weights: Shares
    target: Shares


def priors(info: DataInfo, config: LossConfig) -> Priors:
    """The priors of a run."""
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
    """`prior ** power`, normalised: 1 is the prior itself, 0 the uniform one."""
    return _normalized(prior**power)


def _normalized(counts: Shares) -> Shares:
    shares: Shares = counts / counts.sum()
    return shares


def training_shift(seen: Shares, *, target: Shares) -> npt.NDArray[np.float32]:
    """What the loss adds to the logits: log(seen) - log(target), float32 [C].

    Args:
      seen: the shares that a step counts, of any scale [C].
      target: the shares that the logits alone should answer with [C].
    """
    return np.log(_normalized(seen) / target).astype(np.float32)


def serving_logits(
    logits: tf.Tensor,
    *,
    trained: Shares,
    wanted: Shares,
) -> tf.Tensor:
    """Logits that answer with another prior, without training again: [B, C] -> [B, C].

    Args:
      logits: the model's own; their softmax answers with `trained`.
      trained: `priors(...).target` of the run [C].
      wanted: the prior to answer with [C]; equal to `trained`, nothing changes.
    """
    return logits + np.log(wanted / trained).astype(np.float32)


def class_weights(counts: npt.NDArray[np.float64], *, beta: float) -> npt.NDArray[np.float64]:
    """`(1 - beta) / (1 - beta^n)` of each class, scaled to a mean of 1: [C] -> float64 [C].

    arXiv:1901.05555, equation 2 and section 4. `counts`: above 0. `beta`: in [0, 1).
    """
    inverse = (1 - beta) / -np.expm1(counts * np.log(beta)) if beta else np.ones(len(counts))
    scaled: npt.NDArray[np.float64] = inverse / inverse.mean()
    return scaled
