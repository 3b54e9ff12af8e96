"""Which group of the config a weight belongs to, by its path in the model. Knows no optimizer."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import keras

from catalog.errors import UserError
from trainer.config.optimizer import GroupConfig

Owner = Mapping[int, GroupConfig | None]  # by id() of the weight; Keras's variables have no hash


def paths(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Weights and their paths: `LAYER/WEIGHT`, in a backbone `MODEL/LAYER/WEIGHT`.

    Keras numbers the layers that have no name through all models of a process: the third model's
    first convolution is `conv2d_8`. Here each model has its own `conv2d`, `conv2d_1` and so on.
    """
    return _paths(model, within='', numbered=Counter())


def _paths(
    model: keras.Model, *, within: str, numbered: Counter[str]
) -> Iterator[tuple[str, keras.Variable]]:
    for layer in model.layers:
        path = f'{within}{_name(layer, numbered)}/'
        if isinstance(layer, keras.Model):
            yield from _paths(layer, within=path, numbered=numbered)
        else:
            yield from ((path + weight.name, weight) for weight in layer.weights)


def _name(layer: keras.layers.Layer, numbered: Counter[str]) -> str:
    kind = re.sub(r'_\d+$', '', layer.name)
    if kind.replace('_', '') != type(layer).__name__.lower():
        return str(layer.name)  # somebody gave it
    number = numbered[kind]
    numbered[kind] += 1
    return f'{kind}_{number}' if number else kind


def assign(model: keras.Model, groups: Sequence[GroupConfig]) -> Owner:
    """The first group that fits each weight, or None.

    Raises:
      UserError: naming the pattern that fits no weight.
    """
    named = list(paths(model))
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
