"""The update of the weights. The learning rate by step is in `schedules`."""

import keras

from trainer.config import OptimizerConfig
from trainer.schedules import LearningRate

# Biases and the parameters of normalisation are few and shift nothing but a scale.
_NEVER_DECAYED = ['bias', 'beta', 'gamma']


def build_optimizer(config: OptimizerConfig, *, total_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer of a run."""
    rate = LearningRate(config, total_steps=total_steps)
    match config.name:
        case 'sgd':
            return keras.optimizers.SGD(rate, momentum=config.momentum)
        case 'adam':
            return keras.optimizers.Adam(rate)
        case 'adamw':
            optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
            optimizer.exclude_from_weight_decay(var_names=_NEVER_DECAYED)
            return optimizer
        case name:
            raise ValueError(f'optimizer.name must be sgd, adam or adamw, got {name!r}')
