"""The update of the weights. The learning rate by step is in `schedules`, groups in `groups`.

Which group of the config a weight belongs to, by its path in the model. Knows no optimizer.
"""

import re
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from catalog.errors import UserError
from trainer.config.optimizer import GroupConfig, OptimizerConfig
from trainer.models import weights
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
    owner = assign(model, config.groups)
    freeze(model, owner)
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


Owner = Mapping[int, GroupConfig | None]  # by id() of the weight; Keras's variables have no hash


def assign(model: keras.Model, groups: Sequence[GroupConfig]) -> Owner:
    """The first group that fits each weight, or None.

    Raises:
      UserError: naming the pattern that fits no weight.
    """
    named = list(weights.weight_paths(model))
    for group in groups:
        if not any(re.search(group.pattern, path) for path, _ in named):
            raise UserError(
                f'optimizer.groups: a pattern must fit a weight, {group.pattern!r} fits none of '
                f'{named[0][0]}, …, {named[-1][0]}'
            )
    return {
        id(weight): next((g for g in groups if re.search(g.pattern, path)), None)
        for path, weight in named
    }


def freeze(model: keras.Model, owner: Owner) -> None:
    """Makes the layers untrainable of which every weight is in a group with the rate 0."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            freeze(layer, owner)
        elif layer.weights and all(_is_frozen(owner[id(weight)]) for weight in layer.weights):
            layer.trainable = False


def _is_frozen(group: GroupConfig | None) -> bool:
    return group is not None and group.rate == 0
