"""The moving statistics of batch normalization, of which every replica has its own.

Each replica averages the batches that it saw (Keras 3 does not combine them), and a checkpoint
holds those of the chief's first replica. So these are evaluated too.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.distribution.workers import Workers


def broadcast(model: keras.Model, averages: Sequence[tf.Variable], *, workers: Workers) -> None:
    """Copies the statistics of the chief's first replica to all replicas of all processes.

    Args:
      model: The model that is trained; a training step does not read its moving statistics.
      averages: The EMA of `model.weights`, if the run keeps it: it stands for the model then.
      workers: The processes of the run.
    """
    weights = model.weights
    names = {id(weight) for layer in model._flatten_layers() for weight in _statistics(layer)}
    places = [place for place, weight in enumerate(weights) if id(weight) in names]
    variables = [averages[place] if averages else weights[place].value for place in places]
    values = [tf.convert_to_tensor(variable).numpy() for variable in variables]
    for variable, value in zip(variables, _values_of_chief(values, workers), strict=True):
        variable.assign(value)


def _statistics(layer: keras.layers.Layer) -> list[keras.Variable]:
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return [layer.moving_mean, layer.moving_variance] if is_norm else []


def _values_of_chief(values: list[np.ndarray], workers: Workers) -> list[np.ndarray]:
    if workers.cluster.count == 1 or not values:
        return values
    own = np.concatenate([np.ravel(value) for value in values]).astype(np.float64)
    sent = own if workers.cluster.is_chief else np.zeros_like(own)
    received = np.array(workers.sum(sent.tolist()), np.float32)
    ends = np.cumsum([value.size for value in values])
    parts = np.split(received, ends[:-1])
    return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]
