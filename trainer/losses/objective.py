"""The loss that a run minimizes: a loss of the shifted logits, class weights, levels of the tree.

Knows no model: takes logits, returns the loss of each example.
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
from trainer.losses import hierarchy, priors, softmax
from trainer.losses.hierarchy import Nodes
from trainer.losses.priors import Priors, Shares

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MixedLabels:
    """The labels of B images; an image that augmentation mixed has two.

    Attributes:
      own: Labels of the images, int64 [B].
      partner: Labels of the images mixed in, int64 [B]; None if no image is mixed.
      share: Share of `own` in each image, float32 [B]; the rest is `partner`.
    """

    own: tf.Tensor
    partner: tf.Tensor | None = None
    share: tf.Tensor | None = None

    def known(self) -> tf.Tensor:
        """Returns which images have labels, bool [B]; an undecodable picture has none."""
        known = self.own >= 0
        return known if self.partner is None else known & (self.partner >= 0)

    def with_known_classes(self) -> 'MixedLabels':
        """Returns the same labels, and any class where there is none."""
        partner = None if self.partner is None else tf.maximum(self.partner, 0)
        return MixedLabels(tf.maximum(self.own, 0), partner, self.share)

    @property
    def dominant(self) -> tf.Tensor:
        """The label with the larger share, int64 [B]."""
        if self.partner is None or self.share is None:
            return self.own
        return tf.where(self.share < 0.5, self.partner, self.own)


@dataclass(frozen=True)
class Phase:
    """What one phase of a run adds to the logits, and the factors of its losses.

    Attributes:
      shift: Added to the logits of the leaves, float32 [C].
      weights: Class weights, float32 [C].
      node_shifts: Added to the logits of each level's head, float32 [K] each.
    """

    shift: Floats
    weights: Floats
    node_shifts: tuple[Floats, ...]


@dataclass(frozen=True)
class Objective:
    """The loss of a run.

    Attributes:
      config: The `loss` part of the run's config.
      margins: Margins of `ldam`, float32 [C].
      node_of: The node above each leaf, int64 [C] for each level in the loss.
      phases: The phase before `reweight_from_step`, and the phase from it on.
    """

    config: LossConfig
    margins: Floats
    node_of: tuple[Nodes, ...]
    phases: tuple[Phase, Phase]

    def losses(
        self, outputs: Sequence[tf.Tensor], labels: MixedLabels, *, step: tf.Tensor
    ) -> tf.Tensor:
        """Returns the loss of each image, float32 [B]; of a mixed image, the mean by the shares.

        Args:
          outputs: Logits of the leaves, float32 [B, C]; with `levels='heads'`, then those of the
            levels, float32 [B, K] each.
          labels: Labels of the B images.
          step: The step of the run, from 0, int64 [].
        """
        own = self._losses(outputs, labels.own, step=step)
        if labels.partner is None or labels.share is None:
            return own
        partner = self._losses(outputs, labels.partner, step=step)
        return labels.share * own + (1 - labels.share) * partner

    def hits(self, logits: tf.Tensor, labels: MixedLabels, *, step: tf.Tensor) -> tf.Tensor:
        """Returns where the dominant label has the highest shifted logit: [B, C] -> bool [B]."""
        shifted = logits + self._at_step('shift', step)
        return tf.argmax(shifted, axis=-1) == labels.dominant

    def _losses(
        self, outputs: Sequence[tf.Tensor], labels: tf.Tensor, *, step: tf.Tensor
    ) -> tf.Tensor:
        leaf, *heads = outputs
        logits = leaf + self._at_step('shift', step)
        losses = self._leaf_losses(logits, labels)
        if self.config.levels == 'summed':
            log_probabilities = tf.nn.log_softmax(logits)
            for node_of in self.node_of:
                losses += hierarchy.node_cross_entropy(log_probabilities, labels, node_of=node_of)
        if self.config.levels == 'heads':
            shifts = self._at_step('node_shifts', step)
            for node_of, head, shift in zip(self.node_of, heads, shifts, strict=True):
                log_probabilities = tf.nn.log_softmax(head + shift)
                nodes = tf.gather(tf.constant(node_of), labels)
                losses += softmax.cross_entropy(log_probabilities, nodes)
        return losses * tf.gather(self._at_step('weights', step), labels)

    def _leaf_losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        config = self.config
        if config.name == 'ldam':
            logits = softmax.subtract_margins(logits, labels, margins=self.margins)
        log_probabilities = tf.nn.log_softmax(logits)
        match config.name:
            case 'focal':
                return softmax.focal_loss(log_probabilities, labels, gamma=config.focal_gamma)
            case 'generalized':
                return softmax.generalized_cross_entropy(
                    log_probabilities, labels, q=config.generalized_q
                )
            case _:  # LDAM too: with its margins subtracted, it is a cross-entropy
                smoothing = config.label_smoothing
                return softmax.cross_entropy(log_probabilities, labels, label_smoothing=smoothing)

    def _at_step(self, name: str, step: tf.Tensor) -> Any:
        before, after = (getattr(phase, name) for phase in self.phases)
        start = self.config.reweight_from_step
        if not start:
            return tf.nest.map_structure(tf.constant, after)
        return tf.nest.map_structure(lambda a, b: tf.where(step < start, a, b), before, after)


def build_objective(config: LossConfig, *, info: DataInfo, tree: Categories) -> Objective:
    """Builds the loss of a run.

    Args:
      config: The `loss` part of the run's config.
      info: The class counts of the data.
      tree: The category tree of the C classes.
    """
    run_priors = priors.compute_priors(info, config)
    node_of = () if config.levels == 'leaf' else tree.parents
    unweighted = np.ones(len(run_priors.weights))
    return Objective(
        config=config,
        margins=softmax.class_margins(run_priors.natural, largest=config.ldam_margin),
        node_of=node_of,
        phases=(
            _phase(config, run_priors, node_of=node_of, weights=unweighted),
            _phase(config, run_priors, node_of=node_of, weights=run_priors.weights),
        ),
    )


def _phase(
    config: LossConfig, run_priors: Priors, *, node_of: Sequence[Nodes], weights: Shares
) -> Phase:
    seen = run_priors.written * weights
    target = seen / seen.sum() if config.target_power is None else run_priors.target
    return Phase(
        shift=priors.prior_shift(target, target=seen),
        weights=weights.astype(np.float32),
        node_shifts=tuple(
            priors.prior_shift(
                hierarchy.node_shares(target, nodes), target=hierarchy.node_shares(seen, nodes)
            )
            for nodes in node_of
        ),
    )
