"""Heads for the parents of a leaf, beside the last layer: trained with it, left out of what is
evaluated and exported.
"""

from collections.abc import Sequence

import keras

from trainer.models.last_layers import LOGITS

_PREFIX = 'level_head_'


def beside(model: keras.Model, sizes: Sequence[int]) -> keras.Model:
    """The model with a head for each level, of so many nodes, on the features of its last layer.

    Returns:
      a model of the same layers and weights, to [logits [B, C], and [B, K] for each level].
    """
    features = model.get_layer(LOGITS).input
    heads = [
        keras.layers.Dense(size, name=f'{_PREFIX}{level}')(features)
        for level, size in enumerate(sizes, start=1)
    ]
    return keras.Model(model.inputs, [model.output, *heads], name=f'{model.name}_levels')


def layers_of(network: keras.Model) -> list[keras.layers.Layer]:
    """The heads of a model from `beside`; of any other, none."""
    return [layer for layer in network.layers if layer.name.startswith(_PREFIX)]
