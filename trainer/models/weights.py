"""The frozen part of a model on disk: weights in order, and the digest that names them."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from catalog import storage
from catalog.errors import UserError

_NAME = 'backbone'


def digest(model: keras.Model) -> str:
    """SHA-256 in hex of a model's weights, in order, with their shapes."""
    found = hashlib.sha256()
    for weight in model.weights:
        values = weight.numpy()
        found.update(f'{values.dtype.str}{values.shape}'.encode())
        found.update(values.tobytes())
    return found.hexdigest()


def save(model: keras.Model, folder: str) -> None:
    """Writes `folder/backbone.index` and `folder/backbone.data-…`."""
    tf.train.Checkpoint(weights=_variables(model)).write(storage.join(folder, _NAME))


def restore(model: keras.Model, folder: str, *, sha256: str) -> None:
    """Gives a model the weights of a folder.

    Raises:
      UserError: if they cannot be read, are another model's, or not those of the digest.
    """
    path = storage.join(folder, _NAME)
    try:
        read = tf.train.Checkpoint(weights=_variables(model)).read(path)
        read.assert_consumed()
    except (tf.errors.OpError, ValueError, AssertionError, IndexError) as error:
        # The last one is for a file that is cut.
        reason = str(error).strip().splitlines()[0]
        raise UserError(f'{path}: must hold the weights of this model, got: {reason}') from error
    found = digest(model)
    if found != sha256:
        raise UserError(
            f'{path}: the SHA-256 of its weights must be {sha256} as the manifest says, got {found}'
            '; the features are of another model: make them again'
        )


def _variables(model: keras.Model) -> Sequence[tf.Variable]:
    return [weight.value for weight in model.weights]


def weight_paths(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
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
