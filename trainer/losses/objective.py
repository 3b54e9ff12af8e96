"""What a run minimises: its loss of the shifted logits, class weights, levels of the tree.

Knows no model: logits in, the loss of each picture out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.categories import Categories
from trainer.config.loss import LossConfig
from trainer.data.data_set import DataInfo
from trainer.losses import hierarchy as levels
from trainer.losses import priors as loss
from trainer.losses import softmax
from trainer.losses.priors import Priors

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """The labels of B pictures, mixed ones having two.

    Attributes:
      labels: int64 [B].
      others: of the pictures mixed in, int64 [B]; None where none is mixed.
      share: of a picture that is `labels`, float32 [B]; the rest is `others`.
    """

    labels: tf.Tensor
    others: tf.Tensor | None = None
    share: tf.Tensor | None = None

    @property
    def mostly(self) -> tf.Tensor:
        """The label of the greater share, int64 [B]."""
        if self.others is None or self.share is None:
            return self.labels
        return tf.where(self.share < 0.5, self.others, self.labels)


@dataclass(frozen=True)
class Phase:
    """What one phase of a run adds to logits and multiplies losses with.

    Attributes:
      shift: of the leaves' logits, float32 [C].
      weights: of the classes, float32 [C].
      node_shifts: of the levels' own logits, float32 [K] each.
    """

    shift: Floats
    weights: Floats
    node_shifts: tuple[Floats, ...]


@dataclass(frozen=True)
class Objective:
    """The loss of a run.

    Attributes:
      config: of the loss.
      margins: of `ldam`, float32 [C].
      node_of: the nodes above the leaves, int64 [C] for each level in the loss.
      phases: of the steps before `reweight_from_step`, and from it on.
    """

    config: LossConfig
    margins: Floats
    node_of: tuple[levels.Nodes, ...]
    phases: tuple[Phase, Phase]

    def losses(self, outputs: Sequence[tf.Tensor], truth: Truth, *, step: tf.Tensor) -> tf.Tensor:
        """The loss of each picture, float32 [B]. Of a mixed one, its labels' by their shares.

        Args:
          outputs: logits of the leaves float32 [B, C]; with `levels='heads'` those of the levels
            [B, K] behind it.
          truth: of the B pictures.
          step: of the run, from 0, int64 [].
        """
        one = self._losses(outputs, truth.labels, step=step)
        if truth.others is None or truth.share is None:
            return one
        other = self._losses(outputs, truth.others, step=step)
        return truth.share * one + (1 - truth.share) * other

    def hits(self, logits: tf.Tensor, truth: Truth, *, step: tf.Tensor) -> tf.Tensor:
        """Which pictures' classes have the highest shifted logit: [B, C] -> bool [B]."""
        shifted = logits + self._now('shift', step)
        return tf.argmax(shifted, axis=-1) == truth.mostly

    def _losses(
        self, outputs: Sequence[tf.Tensor], labels: tf.Tensor, *, step: tf.Tensor
    ) -> tf.Tensor:
        leaf, *heads = outputs
        logits = leaf + self._now('shift', step)
        losses = self._leaf(logits, labels)
        if self.config.levels == 'summed':
            log_probabilities = tf.nn.log_softmax(logits)
            for node_of in self.node_of:
                losses += levels.summed(log_probabilities, labels, node_of=node_of)
        if self.config.levels == 'heads':
            shifts = self._now('node_shifts', step)
            for node_of, head, shift in zip(self.node_of, heads, shifts, strict=True):
                of_nodes = tf.nn.log_softmax(head + shift)
                losses += softmax.cross_entropy(of_nodes, tf.gather(tf.constant(node_of), labels))
        return losses * tf.gather(self._now('weights', step), labels)

    def _leaf(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        config = self.config
        if config.name == 'ldam':
            logits = softmax.demanding(logits, labels, margins=self.margins)
        log_probabilities = tf.nn.log_softmax(logits)
        match config.name:
            case 'focal':
                return softmax.focal(log_probabilities, labels, gamma=config.focal_gamma)
            case 'generalized':
                return softmax.generalized(log_probabilities, labels, q=config.generalized_q)
            case _:  # of LDAM too: what is left of it is a cross-entropy
                smoothing = config.label_smoothing
                return softmax.cross_entropy(log_probabilities, labels, label_smoothing=smoothing)

    def _now(self, name: str, step: tf.Tensor) -> Any:
        before, after = (getattr(phase, name) for phase in self.phases)
        begins = self.config.reweight_from_step
        if not begins:
            return tf.nest.map_structure(tf.constant, after)
        return tf.nest.map_structure(lambda a, b: tf.where(step < begins, a, b), before, after)


def build(config: LossConfig, *, info: DataInfo, tree: Categories) -> Objective:
    """The loss of a run.

    Args:
      config: its part of the run's config.
      info: the class counts of the data.
      tree: of the C classes.
    """
    priors = loss.priors(info, config)
    node_of = () if config.levels == 'leaf' else (tree.level1, tree.level2)
    unweighted = np.ones(len(priors.weights))
    return Objective(
        config=config,
        margins=softmax.margins(priors.natural, largest=config.ldam_margin),
        node_of=node_of,
        phases=(
            _phase(config, priors, node_of=node_of, weights=unweighted),
            _phase(config, priors, node_of=node_of, weights=priors.weights),
        ),
    )


def _phase(
    config: LossConfig,
    priors: Priors,
    *,
    node_of: Sequence[levels.Nodes],
    weights: loss.Shares,
) -> Phase:
    seen = priors.written * weights
    target = seen / seen.sum() if config.target_power is None else priors.target
    return Phase(
        shift=loss.training_shift(seen, target=target),
        weights=weights.astype(np.float32),
        node_shifts=tuple(
            loss.training_shift(
                levels.node_shares(seen, nodes), target=levels.node_shares(target, nodes)
            )
            for nodes in node_of
        ),
    )
