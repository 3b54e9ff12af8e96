"""The update of the weights. The learning rate by step is in `schedules`, groups in `groups`."""

import keras
import tensorflow as tf

from trainer.optim import groups
from trainer.config.optimizer import GroupConfig
from trainer.config.optimizer import OptimizerConfig
from trainer.optim.schedules import LearningRate

# Biases, the parameters of normalisation, the power of a mean: few, and no simpler at 0.
_NEVER_DECAYED = ['bias', 'beta', 'gamma', 'power']


def build_optimizer(
    config: OptimizerConfig,
    *,
    total_steps: int,
    model: keras.Model | None = None,
    drop: tf.Variable | None = None,
) -> keras.optimizers.Optimizer:
    """The optimizer of a run.

    Args:
      config: its part of the run's config.
      total_steps: of the run.
      model: must be given where the config has groups: layers that they freeze are made
        untrainable, so ask for its `trainable_variables` afterwards.
      drop: `Plateau.factor`, where the schedule is `plateau`.

    Raises:
      UserError: if a group fits no weight of the model.
    """
    if not config.groups:
        return _optimizer(config, LearningRate(config, total_steps=total_steps, drop=drop))
    if model is None:
        raise ValueError('model must be given where optimizer.groups is, got None')
    owner = groups.assign(model, config.groups)
    groups.freeze(model, owner)
    made: dict[GroupConfig | None, keras.optimizers.Optimizer] = {
        group: _optimizer(
            config, LearningRate(config, total_steps=total_steps, drop=drop, group=group)
        )
        for group in [None, *config.groups]
    }
    # A function and not Keras's OptimizerMap: that goes by variable.path, which lacks the backbone.
    optimizer = keras.optimizers.MultiOptimizer(lambda variable: made[owner[id(variable)]])
    optimizer.parts = list(made.values())  # or a checkpoint of Keras 3.15 lacks their state
    return optimizer


def _optimizer(config: OptimizerConfig, rate: LearningRate) -> keras.optimizers.Optimizer:
    match config.name:
        case 'sgd':
            return keras.optimizers.SGD(rate, momentum=config.momentum, nesterov=config.nesterov)
        case 'adam':
            return keras.optimizers.Adam(rate)
        case 'nadam':
            return keras.optimizers.Nadam(rate)
        case 'adamw':
            return _decayed(keras.optimizers.AdamW(rate, weight_decay=config.weight_decay))
        case 'lamb':
            return _decayed(keras.optimizers.Lamb(rate, weight_decay=config.weight_decay))
        case name:
            raise ValueError(f'optimizer.name must be one of OptimizerConfig, got {name!r}')


def _decayed(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    optimizer.exclude_from_weight_decay(var_names=_NEVER_DECAYED)
    return optimizer
