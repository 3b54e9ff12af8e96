"""Describes a run and checks what it would read. Trains nothing and needs no device."""

import dataclasses

from trainer.config import TrainConfig, files
from trainer.data import sources
from trainer.data.batches import train_batches
from trainer.data.data_set import DataSet
from trainer.data.examples import batch_spec, example_spec
from trainer.data.info import data_info
from trainer.models.model import sketch
from trainer.training.costs import LayerCost, Memory, estimate_memory, layer_costs
from trainer.undecodable.log import UndecodableLog


def show(config: TrainConfig, data: DataSet) -> None:
    """Prints the config, the model, its costs, the data and the length of an epoch.

    Raises:
      UserError: Naming the shard or the picture that cannot be read.
    """
    info = data_info(data, config)
    shape = (config.input.height, config.input.width, 3)
    layers = layer_costs(sketch(config.model, num_classes=info.num_classes, input_shape=shape))
    examples, unit = sum(info.examples_per_class), example_spec(config).unit
    steps = examples / config.batch_size
    print(files.to_json(config), end='')
    print(_table(layers), end='')
    print(f'model:  {config.model.name}, {_model_cost(layers)}')
    print(f'memory: {_memory_cost(estimate_memory(config, data, layers))}')
    print(
        f'data:   {data.folder}, {examples:,.0f} {unit} in {info.num_classes:,} classes, '
        'files checked'
    )
    print(f'batch:  {_first_batch(config, data)}')
    print(f'epoch:  {steps:,.1f} steps; {config.total_steps / steps:,.1f} epochs in total')


def _table(layers: list[LayerCost]) -> str:
    lines = [f'{"layer":28}{"output":>20}{"parameters":>14}{"MFLOP":>12}']
    for layer in layers:
        output = ' x '.join(str(side or '?') for side in layer.output)
        lines.append(
            f'{layer.name:28}{output:>20}{layer.parameters:>14,}{layer.operations / 1e6:>12,.2f}'
        )
    return '\n'.join(lines) + '\n'


def _model_cost(layers: list[LayerCost]) -> str:
    parameters = sum(layer.parameters for layer in layers)
    giga = sum(layer.operations for layer in layers) / 1e9
    return (
        f'{parameters:,} parameters, {giga:,.3f} GFLOP per picture in the forward pass (a '
        'multiplication and an addition are two), about three times that in training'
    )


def _memory_cost(memory: Memory) -> str:
    weights, activations, pipeline = (part / 1e9 for part in dataclasses.astuple(memory))
    return (
        f'about {weights + activations:,.2f} GB on each device ({weights:,.2f} weights and '
        f'optimizer state, {activations:,.2f} activations), {pipeline:,.2f} GB on each host for '
        'input'
    )


def _first_batch(config: TrainConfig, data: DataSet) -> str:
    """Reads and decodes the first batch, and describes it."""
    spec = batch_spec(config)
    uncached = dataclasses.replace(spec.input, cache=False)  # a cached set would be read completely
    undecodable = UndecodableLog(data.paths('train'))
    with sources.input_errors_named(data, split='train'):
        spec = dataclasses.replace(spec, input=uncached)
        batch = next(iter(train_batches(data, spec, undecodable=undecodable)))
        undecodable.report()
    values = batch[spec.example.column]
    return f'{values.dtype.name} {" x ".join(map(str, values.shape))}, read and decoded'
