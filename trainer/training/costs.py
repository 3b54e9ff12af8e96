"""Estimates what a run costs before it starts: operations and memory.

An operation is a multiplication or an addition of a convolution or a dense layer in the forward
pass, so two for each weight at each position of the layer's output; papers that count multiply-adds
report half. Normalization, activations and pooling are not counted. A training step takes about
three times the forward pass: the backward pass has two products for each.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from trainer.config import TrainConfig
from trainer.data.batches import PREFETCHED_BATCHES
from trainer.data.data_set import DataSet
from trainer.data.examples import example_spec

_COUNTED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
)
_SLOTS = {'sgd': 1, 'adam': 2, 'adamw': 2, 'nadam': 2, 'lamb': 2}  # numbers kept for each weight
_PREFETCHED_BLOCKS = 2  # of encoded pictures


@dataclass(frozen=True)
class LayerCost:
    """A layer, or a backbone with all of its layers, for one picture.

    Attributes:
      name: Name of the layer.
      output: Shape of its output without the batch; None for sides that are not fixed.
      parameters: Number of its parameters.
      operations: Number of its operations, by the counting rule above.
      activations: Number of values in the outputs of its layers.
    """

    name: str
    output: tuple[int | None, ...]
    parameters: int
    operations: int
    activations: int


@dataclass(frozen=True)
class Memory:
    """Estimated memory in bytes, without that of the framework and its libraries.

    Attributes:
      weights: Weights, gradients, optimizer state and EMA on each device.
      activations: Activations kept for the backward pass on each device.
      input: Shuffled encoded pictures, decoded batches and a cached set on each host.
    """

    weights: int
    activations: int
    input: int


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """Returns the costs of a model's layers in order, without layers that compute nothing."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return [cost for cost in map(_layer_cost, layers) if cost.activations]


def _layer_cost(layer: keras.layers.Layer) -> LayerCost:
    parts = list(_parts(layer))
    return LayerCost(
        name=layer.name,
        output=tuple(layer.output.shape[1:]),
        parameters=layer.count_params(),
        operations=sum(_operations(part) for part in parts),
        activations=sum(_numbers(part.output.shape[1:]) for part in parts),
    )


def _parts(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    if not isinstance(layer, keras.Model):
        yield layer
        return
    for part in layer.layers:
        if not isinstance(part, keras.layers.InputLayer):
            yield from _parts(part)


def _operations(layer: keras.layers.Layer) -> int:
    if not isinstance(layer, _COUNTED):
        return 0
    weights = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    return int(2 * weights * _numbers(layer.output.shape[1:-1]))


def _numbers(shape: tuple[int | None, ...]) -> int:
    return math.prod(side or 1 for side in shape)


def estimate_memory(config: TrainConfig, data: DataSet, layers: list[LayerCost]) -> Memory:
    """Estimates the memory of a run with as many devices as the config names."""
    train = data.split('train')
    views = example_spec(config).views
    picture = config.input.height * config.input.width * 3
    devices = config.num_devices or 1
    concurrent = config.batch_size // devices // config.step.accumulate * views
    per_weight = 2 + _SLOTS[config.optimizer.name] + (config.step.ema_decay > 0)
    width = 4 if config.step.precision == 'float32' else 2  # bytes a number
    batches = PREFETCHED_BATCHES + len(os.sched_getaffinity(0))
    block = config.input.shuffle_records * sum(shard.bytes for shard in train.shards)
    cached = train.pictures * picture if config.input.cache else 0
    encoded = 0 if cached else _PREFETCHED_BLOCKS * block // max(train.records, 1)
    return Memory(
        weights=4 * per_weight * sum(layer.parameters for layer in layers),
        activations=width * concurrent * sum(layer.activations for layer in layers),
        input=encoded + cached + batches * config.batch_size * views * picture,
    )
