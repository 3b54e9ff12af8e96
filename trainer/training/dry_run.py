"""Shows what a run would be and checks what it would read; trains nothing, asks for no device."""

import dataclasses

from trainer.config import files as configs
from trainer.training import costs
from trainer.data import data_set
from trainer.training import guards
from trainer.data import input_pipeline
from trainer.data import product_pipeline
from trainer.config import TrainConfig
from trainer.training.costs import Memory
from trainer.training.costs import Row
from trainer.data.data_set import DataSet
from trainer.models.model import sketch


def show(config: TrainConfig, data: DataSet) -> None:
    """Prints config, model, memory, data and the length of an epoch.

    Raises:
      UserError: naming the shard or the picture that cannot be read.
    """
    info = data_set.info_of(data, config)
    shape = (config.input.height, config.input.width, 3)
    layers = costs.rows(sketch(config.model, num_classes=info.num_classes, input_shape=shape))
    examples = sum(info.examples_per_class)
    kind = 'records of products' if config.model.fusion.is_on else 'pictures'
    steps = examples / config.batch_size
    print(configs.to_json(config), end='')
    print(_table(layers), end='')
    print(f'model:  {config.model.name}, {_model(layers)}')
    print(f'memory: {_memory(costs.memory(config, data, layers))}')
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
    with guards.damaged_input_is_named(data, split='train'):
        batch = next(iter(batches))
    given = batch['features' if config.input.features else 'image']
    return f'{given.dtype.name} {" x ".join(map(str, given.shape))}, read and decoded'
