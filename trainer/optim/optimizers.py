"""The optimizer of a run. The learning rate by step is in `schedules`."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from trainer.config.optimizer import GroupConfig, OptimizerConfig
from trainer.optim import parameter_groups
from trainer.optim.schedules import LearningRate

# Biases, parameters of normalization, the power of a generalized mean: no simpler near 0.
_NEVER_DECAYED = ['bias', 'beta', 'gamma', 'power']


class GroupOptimizer(keras.optimizers.MultiOptimizer):  # type: ignore[misc]  # Keras has no types
    """Updates each weight with the optimizer of its parameter group.

    Attributes:
      parts: The optimizers of all groups; as an attribute, they are part of the checkpoint, which
        MultiOptimizer of Keras 3.15 leaves out.
    """

    def __init__(
        self,
        parts: Sequence[keras.optimizers.Optimizer],
        optimizer_of: Callable[[keras.Variable], keras.optimizers.Optimizer],
    ) -> None:
        # Not Keras's OptimizerMap: it maps by variable.path, which lacks the backbone's name.
        super().__init__(optimizer_of)
        self.parts = list(parts)


def build_optimizer(
    config: OptimizerConfig,
    *,
    total_steps: int,
    model: keras.Model | None = None,
    drop: tf.Variable | None = None,
) -> keras.optimizers.Optimizer:
    """Builds the optimizer of a run.

    Args:
      config: The `optimizer` part of the run's config.
      total_steps: Steps of the run.
      model: The model; required if the config has parameter groups. Layers that they freeze become
        untrainable, so read its `trainable_variables` afterwards.
      drop: `Plateau.factor` if the schedule is `plateau`, else None.

    Raises:
      UserError: If a group matches no weight of the model.
    """

    def build(group: GroupConfig | None) -> keras.optimizers.Optimizer:
        rate = LearningRate(config, total_steps=total_steps, drop=drop, group=group)
        return _optimizer(config, rate)

    if not config.groups:
        return build(None)
    if model is None:
        raise ValueError('model must be given if optimizer.groups is, got None')
    group_of = parameter_groups.assign_weights(model, config.groups)
    parameter_groups.freeze_layers(model, group_of)
    parts = {group: build(group) for group in [None, *config.groups]}
    return GroupOptimizer(list(parts.values()), lambda variable: parts[group_of[id(variable)]])


def _optimizer(config: OptimizerConfig, rate: LearningRate) -> keras.optimizers.Optimizer:
    decay = config.effective_weight_decay
    match config.name:
        case 'sgd':
            optimizer = keras.optimizers.SGD(
                rate,
                momentum=config.momentum,
                nesterov=config.nesterov,
                weight_decay=decay or None,
            )
        case 'adam':
            optimizer = keras.optimizers.Adam(rate, weight_decay=decay or None)
        case 'nadam':
            optimizer = keras.optimizers.Nadam(rate, weight_decay=decay or None)
        case 'adamw':
            optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
        case 'lamb':
            optimizer = keras.optimizers.Lamb(rate, weight_decay=decay)
        case name:
            raise ValueError(f'optimizer.name must be a name in OptimizerConfig, got {name!r}')
    if optimizer.weight_decay is not None:
        optimizer.exclude_from_weight_decay(var_names=_NEVER_DECAYED)
    return optimizer
