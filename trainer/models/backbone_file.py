"""The frozen backbone beside cached features: its weights in order, and their digest."""

import hashlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from catalog import storage
from catalog.errors import UserError
from catalog.local_copies import tensorflow_paths

_NAME = 'backbone'


def digest(model: keras.Model) -> str:
    """Returns the SHA-256, in hex, of a model's weights in order, with their shapes."""
    sha256 = hashlib.sha256()
    for weight in model.weights:
        values = weight.numpy()
        sha256.update(f'{values.dtype.str}{values.shape}'.encode())
        sha256.update(values.tobytes())
    return sha256.hexdigest()


def save(model: keras.Model, folder: str) -> None:
    """Writes `folder/backbone.index` and `folder/backbone.data-…`."""
    with tensorflow_paths.writable(storage.join(folder, _NAME)) as path:
        tf.train.Checkpoint(weights=_variables(model)).write(path)


def restore(model: keras.Model, folder: str, *, sha256: str) -> None:
    """Restores the weights of a model from a folder.

    Raises:
      UserError: If they cannot be read, belong to another model, or have another digest.
    """
    path = storage.join(folder, _NAME)
    try:
        with tensorflow_paths.readable(path) as copy:
            tf.train.Checkpoint(weights=_variables(model)).read(copy).assert_consumed()
    except (tf.errors.OpError, ValueError, AssertionError, IndexError) as error:
        # A truncated file raises IndexError.
        reason = str(error).strip().splitlines()[0]
        raise UserError(f'{path}: must hold the weights of this model, got: {reason}') from error
    found = digest(model)
    if found != sha256:
        raise UserError(
            f'{path}: the SHA-256 of the weights must be {sha256} as in the manifest, got {found}; '
            'another model computed the features: run trainer.features again'
        )


def _variables(model: keras.Model) -> Sequence[tf.Variable]:
    return [weight.value for weight in model.weights]
