r"""Shows that XLA takes the step of each config as one program, as a TPU would get it.

  python -m benchmarks.xla_configs [--only=tiny,kaggle_inception_v3]

A replica's step with the update of its weights, on two examples of the size of the config and four
classes, is converted to XLA's intermediate language. An operation of the host, or a shape that is
not fixed, is an error. Nothing is compiled for a device or run; initial weights are random.
`tests/trainer/training/test_xla.py` runs small programs and compares their numbers.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags

from catalog import categories, command_line
from trainer.config import InputConfig, TrainConfig, files
from trainer.data.data_set import DataInfo, DataSet
from trainer.distribution.strategy import build_strategy
from trainer.losses.objective import build_objective
from trainer.report.tables import format_table
from trainer.training.build import build_state
from trainer.training.model_inputs import model_inputs
from trainer.training.step import build_replica_step

CLASSES, BATCH = 4, 2
CONFIGS = Path(__file__).parents[1] / 'configs'

_ONLY = flags.DEFINE_list('only', None, 'Names of configs; all by default.')


def _data() -> DataSet:
    rows = [f'{c},ROOT {c % 2},BRANCH {c // 2},LEAF {c}' for c in range(CLASSES)]
    text = '\n'.join([','.join(categories.HEADER), *rows]) + '\n'
    tree = categories.parse(text.encode(), path='category_names.csv')
    return DataSet('', None, tree, '')  # type: ignore[arg-type]  # build_state reads the tree alone


def small(config: TrainConfig) -> TrainConfig:
    """Returns a config whose step has the same operations, on one CPU and two examples."""
    step = dataclasses.replace(config.step, xla=True, accumulate=1, synchronized_batch_norm=False)
    last = InputConfig(height=config.input.height, width=config.input.width)
    return dataclasses.replace(
        config,
        batch_size=BATCH,
        strategy='one_device',
        device='cpu',
        num_devices=None,
        step=step,
        input=last,
        model=dataclasses.replace(config.model, weights=None),
    )


def _batch(config: TrainConfig) -> dict[str, tf.Tensor]:
    inputs = model_inputs(config)
    views = [inputs.example.views] if inputs.example.is_product else []
    size = [BATCH, *views, config.input.height, config.input.width, 3]
    batch = {'image': tf.zeros(size, tf.uint8), 'label': tf.zeros(BATCH, tf.int64)}
    if views:
        batch |= {'mask': tf.ones(size[:2], tf.bool), 'undecodable': tf.zeros(BATCH, tf.int64)}
    return {**batch, 'draws': inputs.draw(BATCH, seed=tf.constant([0, 0], tf.int64))}


def convert(config: TrainConfig) -> str:
    """Returns the program of a replica's step in XLA's intermediate language.

    Raises:
      tf.errors.OpError: If XLA does not take it.
    """
    data = _data()
    info = DataInfo('', CLASSES, (1.0,) * CLASSES, (1 / CLASSES,) * CLASSES)
    strategy = build_strategy(config)
    state = build_state(config, data, info, strategy=strategy)
    goal = build_objective(config.loss, info=info, tree=data.categories)
    step = build_replica_step(state, strategy, config, objective=goal)

    def run(batch: dict[str, tf.Tensor], number: tf.Tensor) -> Any:
        return strategy.run(step, args=(batch, number))

    compiled = tf.function(run, jit_compile=True, autograph=False)
    get_program = compiled.experimental_get_compiler_ir(_batch(config), tf.constant(0, tf.int64))
    return str(get_program(stage='hlo'))


def main(argv: list[str]) -> None:
    del argv
    names = _ONLY.value or sorted(
        path.stem for path in CONFIGS.glob('*.py') if 'get_config' in path.read_text()
    )
    rows = []
    for name in names:
        start = time.process_time()
        program = convert(small(files.load(str(CONFIGS / f'{name}.py'))))
        instructions = program.count(' = ')
        rows.append([name, f'{instructions:,}', f'{time.process_time() - start:.0f}'])
        print(f'{name}: {instructions:,} instructions', flush=True)
    print(format_table(rows, header=['config', 'instructions', 'CPU seconds']))


if __name__ == '__main__':
    command_line.run(main)
