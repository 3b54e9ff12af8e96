"""The moving figures of batch norm, of which every device has its own. Knows no disk.

A device averages what it saw itself (Keras 3 does not bring them together); a checkpoint holds
those of the chief's first device. So they are what is evaluated, too.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.distribution.workers import Workers


def share(model: keras.Model, means: Sequence[tf.Variable], *, workers: Workers) -> None:
    """Gives those of the chief's first device to all devices of all processes.

    Args:
      model: that learns; a step does not read them.
      means: of `model.weights`, where the run keeps such: they stand for the model then.
      workers: of the run.
    """
    weights = model.weights
    names = {id(weight) for layer in model._flatten_layers() for weight in _moving(layer)}
    places = [place for place, weight in enumerate(weights) if id(weight) in names]
    variables = [means[place] if means else weights[place].value for place in places]
    values = [tf.convert_to_tensor(variable).numpy() for variable in variables]
    for variable, value in zip(variables, _of_the_chief(values, workers), strict=True):
        variable.assign(value)


def _moving(layer: keras.layers.Layer) -> list[keras.Variable]:
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return [layer.moving_mean, layer.moving_variance] if is_norm else []


def _of_the_chief(values: list[np.ndarray], workers: Workers) -> list[np.ndarray]:
    if workers.cluster.count == 1 or not values:
        return values
    mine = np.concatenate([np.ravel(value) for value in values]).astype(np.float64)
    given = mine if workers.cluster.is_chief else np.zeros_like(mine)
    found = np.array(workers.total(given.tolist()), np.float32)
    ends = np.cumsum([value.size for value in values])
    parts = np.split(found, ends[:-1])
    return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]
