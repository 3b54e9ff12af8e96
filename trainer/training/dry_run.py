"""Shows what a run would be and checks what it would read; trains nothing, asks for no device.

What a run costs, before it runs: operations, and memory about.

Counting rule: an operation is a multiplication or an addition of a convolution or a dense layer in
the forward pass, so two for each weight at each place of the layer's output; papers that count
multiply-adds name half. Normalisation, activations and pooling are not counted. A step takes about
three times the forward pass: the backward pass has two products for each.
"""

import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from trainer.config import TrainConfig
from trainer.config import files as configs
from trainer.data import input_pipeline, product_pipeline, sampling, sources
from trainer.data.data_set import DataSet
from trainer.data.input_pipeline import READY_BATCHES
from trainer.models.model import sketch

_COUNTED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
)
_SLOTS = {'sgd': 1, 'adam': 2, 'adamw': 2, 'nadam': 2, 'lamb': 2}  # numbers kept beside a weight
_READ_AHEAD = 2  # blocks of encoded pictures


@dataclass(frozen=True)
class Row:
    """A layer, or a backbone with all of its layers, for one picture.

    Attributes:
      name: of the layer.
      output: its shape without the batch; None where it is not known beforehand.
      parameters: of its weights.
      operations: by the rule above.
      activations: numbers that its layers give.
    """

    name: str
    output: tuple[int | None, ...]
    parameters: int
    operations: int
    activations: int


@dataclass(frozen=True)
class Memory:
    """Bytes, about: what the framework itself and its libraries take comes on top.

    Attributes:
      weights: on each device: with gradients, optimizer and means.
      activations: on each device, of its part of a batch; kept for the backward pass.
      input: on each host: encoded pictures that are mixed, decoded batches, a cached set.
    """

    weights: int
    activations: int
    input: int


def rows(model: keras.Model) -> list[Row]:
    """The layers of a model in turn, without those that hold nothing."""
    made = [_row(layer) for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return [row for row in made if row.activations]


def _row(layer: keras.layers.Layer) -> Row:
    parts = list(_parts(layer))
    return Row(
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


def memory(config: TrainConfig, data: DataSet, model: list[Row]) -> Memory:
    """What a run takes on a device and on a host, if it has as many devices as the config names."""
    train = data.split('train')
    views = config.model.fusion.max_views if config.model.fusion.is_on else 1
    picture = config.input.height * config.input.width * 3
    devices = config.num_devices or 1
    at_once = config.batch_size // devices // config.step.accumulate * views
    per_weight = 2 + _SLOTS[config.optimizer.name] + (config.step.ema_decay > 0)
    width = 4 if config.step.precision == 'float32' else 2  # bytes a number
    batches = READY_BATCHES + len(os.sched_getaffinity(0))
    block = config.input.shuffle_records * sum(shard.bytes for shard in train.shards)
    cached = train.pictures * picture if config.input.cache else 0
    encoded = 0 if cached else _READ_AHEAD * block // max(train.records, 1)
    return Memory(
        weights=4 * per_weight * sum(row.parameters for row in model),
        activations=width * at_once * sum(row.activations for row in model),
        input=encoded + cached + batches * config.batch_size * views * picture,
    )


def show(config: TrainConfig, data: DataSet) -> None:
    """Prints config, model, memory, data and the length of an epoch.

    Raises:
      UserError: naming the shard or the picture that cannot be read.
    """
    info = sampling.data_info(data, config)
    shape = (config.input.height, config.input.width, 3)
    layers = rows(sketch(config.model, num_classes=info.num_classes, input_shape=shape))
    examples = sum(info.examples_per_class)
    kind = 'records of products' if config.model.fusion.is_on else 'pictures'
    steps = examples / config.batch_size
    print(configs.to_json(config), end='')
    print(_table(layers), end='')
    print(f'model:  {config.model.name}, {_model(layers)}')
    print(f'memory: {_memory(memory(config, data, layers))}')
    print(f'data:   {data.folder}, {examples:,.0f} {kind} of {info.num_classes:,} classes, checked')
    print(f'batch:  {_first_batch(config, data)}')
    print(f'epoch:  {steps:,.1f} steps; {config.total_steps / steps:,.1f} epochs in all')


def _table(layers: list[Row]) -> str:
    lines = [f'{"layer":28}{"output":>20}{"parameters":>14}{"MFLOP":>12}']
    for row in layers:
        output = ' x '.join(str(side or '?') for side in row.output)
        lines.append(
            f'{row.name:28}{output:>20}{row.parameters:>14,}{row.operations / 1e6:>12,.2f}'
        )
    return '\n'.join(lines) + '\n'


def _model(layers: list[Row]) -> str:
    parameters = sum(row.parameters for row in layers)
    giga = sum(row.operations for row in layers) / 1e9
    return (
        f'{parameters:,} parameters, {giga:,.3f} GFLOP a picture forward (a multiplication and an '
        'addition are two), about three times that to learn'
    )


def _memory(found: Memory) -> str:
    weights, activations, given = (part / 1e9 for part in dataclasses.astuple(found))
    return (
        f'about {weights + activations:,.2f} GB on each device ({weights:,.2f} weights and what the'
        f' optimizer keeps, {activations:,.2f} activations), {given:,.2f} GB on each host for input'
    )


def _first_batch(config: TrainConfig, data: DataSet) -> str:
    """What the first step would get, read and decoded."""
    reading = dataclasses.replace(config.input, cache=False)  # or all of it would be decoded
    pipeline = product_pipeline if config.model.fusion.is_on else input_pipeline
    batches = pipeline.train_batches(data, dataclasses.replace(config, input=reading))
    with sources.damaged_input_is_named(data, split='train'):
        batch = next(iter(batches))
    given = batch['features' if config.input.features else 'image']
    return f'{given.dtype.name} {" x ".join(map(str, given.shape))}, read and decoded'
