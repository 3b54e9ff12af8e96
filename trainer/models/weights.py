"""The weights of a model by path, as `optimizer.groups` and `start.pattern` name them."""

import re
from collections import Counter
from collections.abc import Iterator

import keras


def weight_paths(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yields paths and weights: `LAYER/WEIGHT`, within a backbone `MODEL/LAYER/WEIGHT`.

    Keras numbers layers without a name across all models of a process: the first convolution of the
    third model is `conv2d_8`. Here each model has its own `conv2d`, `conv2d_1` and so on.
    """
    return _paths(model, prefix='', counts=Counter())


def _paths(
    model: keras.Model, *, prefix: str, counts: Counter[str]
) -> Iterator[tuple[str, keras.Variable]]:
    for layer in model.layers:
        path = f'{prefix}{_name(layer, counts)}/'
        if isinstance(layer, keras.Model):
            yield from _paths(layer, prefix=path, counts=counts)
        else:
            yield from ((path + weight.name, weight) for weight in layer.weights)


def _name(layer: keras.layers.Layer, counts: Counter[str]) -> str:
    kind = re.sub(r'_\d+$', '', layer.name)
    if kind.replace('_', '') != type(layer).__name__.lower():
        return str(layer.name)  # not one of Keras's automatic names
    number = counts[kind]
    counts[kind] += 1
    return f'{kind}_{number}' if number else kind
