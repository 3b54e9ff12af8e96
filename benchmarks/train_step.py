r"""Steps of our loop beside those of Keras's `fit`: one device, same model, optimizer and input.

  python -m benchmarks.train_step --output=DIR

Both learn from the same stream of `input_pipeline`, cached, so that it costs neither anything, and
take ten steps a call. Each run is a process of its own, by turns for several rounds; of a run the
median of its windows counts, of the rounds the median. Ours logs each window to its boards, `fit`
ends an epoch. In one window ours saves: what that would cost at the default interval is told too.
"""

import itertools
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from benchmarks import input_files
from catalog import door

if TYPE_CHECKING:
    from trainer.config import TrainConfig

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the files.', required=True)
_PRODUCTS = flags.DEFINE_integer('products', 2_000, 'Of the sample data.', lower_bound=1)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Runs of each.', lower_bound=1)
_ONLY = flags.DEFINE_list('only', [], 'Names of cases; by default all.')
_ONE = flags.DEFINE_list('one', [], 'For the processes themselves: who, case, folder.')

_STEPS_PER_CALL = 10
_WINDOWS = 6  # the first compiles
_SAVED_AFTER = 3  # windows
_DEFAULT_INTERVAL = 1000  # steps between two checkpoints


@dataclass(frozen=True)
class Case:
    """What is trained."""

    model: str
    side: int  # of the pictures, in pixels
    batch: int
    window: int  # steps
    xla: bool
    channels: int = 32  # of a small network's first layer


CASES = {
    'small_cnn': Case('small_cnn', 28, 128, 100, xla=False, channels=8),
    'small_cnn_xla': Case('small_cnn', 28, 128, 100, xla=True, channels=8),
    'mobilenet_v2': Case('mobilenet_v2', 96, 32, 10, xla=False),
}


def config_of(case: Case) -> 'TrainConfig':
    from trainer.config import AugmentConfig, InputConfig, ModelConfig, StepConfig, TrainConfig

    steps = case.window * _WINDOWS
    return TrainConfig(
        batch_size=case.batch,
        total_steps=steps,
        log_every_steps=case.window,
        checkpoint_every_steps=case.window * _SAVED_AFTER,
        steps_per_call=_STEPS_PER_CALL,
        device='cpu',
        model=ModelConfig(name=case.model, channels=case.channels),
        input=InputConfig(height=case.side, width=case.side, shuffle_records=1000, cache=True),
        augment=AugmentConfig(flip=False),
        step=StepConfig(xla=case.xla),
    )


def ours(case: Case, folder: Path) -> list[float]:
    """Seconds of each window, and of a save, as the boards tell them."""
    import shutil

    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from trainer.data_set import open_data_set
    from trainer.train import train

    workdir = folder / 'workdir'
    shutil.rmtree(workdir, ignore_errors=True)
    train(config_of(case), open_data_set(str(folder / 'product')), str(workdir))
    events = EventAccumulator(str(workdir / 'tensorboard')).Reload()
    rates, shares = (
        [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(name)]
        for name in ('pictures_per_second', 'saving_share')
    )
    seconds = [case.window * case.batch / rate for rate in rates]
    return [*seconds, shares[_SAVED_AFTER] * seconds[_SAVED_AFTER]]


def fit(case: Case, folder: Path) -> list[float]:
    """Seconds of each epoch of a window's length; it does not save."""
    import keras

    from trainer import input_pipeline
    from trainer.data_set import open_data_set
    from trainer.model import build_model
    from trainer.optimizers import build_optimizer

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.times = [time.monotonic()]

        def on_epoch_end(self, *_: object) -> None:
            self.times.append(time.monotonic())

    config, data = config_of(case), open_data_set(str(folder / 'product'))
    keras.utils.set_random_seed(config.seed)
    shape = (case.side, case.side, 3)
    net = build_model(config.model, num_classes=data.num_classes, input_shape=shape)
    scale = keras.layers.Rescaling(1 / 127.5, -1.0)  # as `preprocess.normalize` does
    model = keras.Sequential([keras.Input(shape, dtype='uint8'), scale, net])
    model.compile(
        build_optimizer(config.optimizer, total_steps=config.total_steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=['accuracy'],
        steps_per_execution=_STEPS_PER_CALL,
        jit_compile=case.xla,
    )
    batches = input_pipeline.train_batches(data, config).map(lambda x: (x['image'], x['label']))
    clock = Clock()
    model.fit(batches, steps_per_epoch=case.window, epochs=_WINDOWS, verbose=0, callbacks=[clock])
    return [*(end - start for start, end in itertools.pairwise(clock.times)), 0.0]


@dataclass(frozen=True)
class Run:
    """One run: steps a second, and seconds of a save."""

    rate: float
    save: float


def run_one(who: str, name: str, folder: Path) -> Run:
    """A run in a process of its own."""
    one = f'--one={who},{name},{folder}'
    command = [sys.executable, '-m', 'benchmarks.train_step', one, f'--output={folder}']
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=540)
    _, *seconds, save = map(float, done.stdout.split()[-_WINDOWS - 1 :])
    return Run(rate=CASES[name].window / statistics.median(seconds), save=save)


def row(name: str, pairs: list[tuple[Run, Run]]) -> str:
    """The results of a case, as a line of the table."""
    ours_rate = statistics.median(mine.rate for mine, _ in pairs)
    fit_rate = statistics.median(other.rate for _, other in pairs)
    ratio = statistics.median(mine.rate / other.rate for mine, other in pairs)
    save = statistics.median(mine.save for mine, _ in pairs)
    lost = save / (save + _DEFAULT_INTERVAL / ours_rate)
    label = name.replace('_', ' ')
    return (
        f'| {label} | {ours_rate:,.1f} | {fit_rate:,.1f} | {ratio:.2f} | {save:.2f} | {lost:.1%} |'
    )


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    if _ONE.value:
        who, name, folder = _ONE.value
        print(*{'ours': ours, 'fit': fit}[who](CASES[name], Path(folder)), flush=True)
        return
    folder = Path(_OUTPUT.value).absolute()
    input_files.prepare(folder, products=_PRODUCTS.value)
    print(
        '| | ours, steps/s | fit, steps/s | ours / fit (goal 1.0) | a save, s | of the time, with a'
    )
    print(f'save every {_DEFAULT_INTERVAL:,} steps (goal below 2 %) |\n|---|---|---|---|---|---|')
    for name in _ONLY.value or CASES:
        pairs = [
            (run_one('ours', name, folder), run_one('fit', name, folder))
            for _ in range(_ROUNDS.value)
        ]
        print(row(name, pairs), flush=True)


if __name__ == '__main__':
    door.run(main)
