"""The softmax rule that learns from one class prior and answers with another. Knows no model.

Shards hold classes with a prior of their own, because rare classes are written several times. The
loss is taken on `logits + log(prior of the shards) - log(target prior)`, so that the logits alone
answer with the target prior, whatever the shards hold. With the uniform target this is balanced
softmax (Ren et al., 2020, arXiv:2007.10740); in general logit adjustment (Menon et al., 2021,
arXiv:2007.07314).

Every prior gets one pseudo picture a class, so that a class without pictures has a small prior, not
none: its logarithm stays finite, and where it is missing on both sides the two cancel.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.config import LossConfig
from trainer.data_set import DataInfo

Shares = npt.NDArray[np.float64]  # [C]


@dataclass(frozen=True)
class Priors:
    """Class shares, float64 [C] each, all above 0, each with a sum of 1.

    Attributes:
      written: of the pictures in the train shards: what a step sees.
      natural: of the products in the source: what the world looks like.
      target: what the model's own logits answer with.
    """

    written: Shares
    natural: Shares
    target: Shares


def priors(info: DataInfo, config: LossConfig) -> Priors:
    """The priors of a run."""
    pictures = np.asarray(info.pictures_per_class, np.float64)
    natural = _smoothed(np.asarray(info.natural_prior) * pictures.sum())
    return Priors(
        written=_smoothed(pictures),
        natural=natural,
        target=tempered(natural, power=config.target_power),
    )


def _smoothed(counts: Shares) -> Shares:
    return _normalized(counts + 1)


def tempered(prior: Shares, *, power: float) -> Shares:
    """`prior ** power`, normalised: 1 is the prior itself, 0 the uniform one."""
    return _normalized(prior**power)


def _normalized(counts: Shares) -> Shares:
    shares: Shares = counts / counts.sum()
    return shares


def training_shift(priors: Priors) -> npt.NDArray[np.float32]:
    """What the loss adds to the logits: log(written) - log(target), float32 [C]."""
    return np.log(priors.written / priors.target).astype(np.float32)


def cross_entropy(
    logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    shift: npt.NDArray[np.float32],
    label_smoothing: float,
) -> tf.Tensor:
    """The loss of each picture: logits float32 [B, C], labels int64 [B] -> float32 [B].

    `label_smoothing` of the truth is spread evenly over all classes (Szegedy et al., 2016).
    """
    log_probabilities = tf.nn.log_softmax(logits + shift)  # [B, C]
    picked = tf.gather(log_probabilities, labels, batch_dims=1)  # [B, C] -> [B]
    spread = tf.reduce_mean(log_probabilities, axis=-1)
    return -(1 - label_smoothing) * picked - label_smoothing * spread


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
