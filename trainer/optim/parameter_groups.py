"""Parameter groups: which group of the config each weight belongs to, by its path in the model."""

import re
from collections.abc import Mapping, Sequence

import keras

from catalog.errors import UserError
from trainer.config.optimizer import GroupConfig
from trainer.models import weights

GroupOf = Mapping[int, GroupConfig | None]  # by id() of the weight; Keras's variables have no hash


def assign_weights(model: keras.Model, groups: Sequence[GroupConfig]) -> GroupOf:
    """Returns the first group whose pattern matches each weight, or None.

    Raises:
      UserError: Naming a pattern that matches no weight.
    """
    named = list(weights.weight_paths(model))
    for group in groups:
        if not any(re.search(group.pattern, path) for path, _ in named):
            raise UserError(
                f'optimizer.groups: each pattern must match a weight, {group.pattern!r} matches '
                f'none of {named[0][0]}, …, {named[-1][0]}'
            )
    return {
        id(weight): next((g for g in groups if re.search(g.pattern, path)), None)
        for path, weight in named
    }


def freeze_layers(model: keras.Model, group_of: GroupOf) -> None:
    """Makes the layers untrainable whose weights are all in groups with the rate 0."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            freeze_layers(layer, group_of)
        elif layer.weights and all(_is_frozen(group_of[id(weight)]) for weight in layer.weights):
            layer.trainable = False


def _is_frozen(group: GroupConfig | None) -> bool:
    return group is not None and group.rate == 0
