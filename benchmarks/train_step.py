r"""Steps of our loop beside those of Keras's `fit`: one device, same model, optimizer and input.

  python -m benchmarks.train_step --output=DIR

Both learn from the same stream of `input_pipeline`, cached, so that it costs neither anything, take
ten steps a call, and start TensorFlow as training does (`trainer.startup`). Each is a
process of its own, and they take windows of steps by turns: one stands while the other runs, a
second or a few each, so that a noisy machine strikes both. Ours logs each window to its boards,
`fit` ends an epoch. The ratio of two processes is the median of their neighbouring windows, by the
wall's clock and by the time of the processor. Two processes of the same program differ by up to a
tenth for as long as they live; so several pairs are started, one after another, and their median,
least and largest ratio told. Then a run with nothing changed tells what its checkpoints cost.

Ours trains batch norm by another kernel than Keras; with --fit_kernel `fit` is given it too, and
what is left is the loop.
"""

import contextlib
import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from benchmarks import input_files
from catalog import command_line
from trainer import startup as tensorflow_start

if TYPE_CHECKING:
    from trainer.config import TrainConfig

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the files.', required=True)
_PRODUCTS = flags.DEFINE_integer('products', 2_000, 'Of the sample data.', lower_bound=1)
_PAIRS = flags.DEFINE_integer('pairs', 5, 'Of processes.', lower_bound=1)
_WINDOWS = flags.DEFINE_integer('windows', 6, 'Of each process, that count.', lower_bound=1)
_ONLY = flags.DEFINE_list('only', [], 'Names of cases; by default all.')
_FIT_KERNEL = flags.DEFINE_bool('fit_kernel', False, 'Gives `fit` our batch norm.')
_SAVING_STEPS = flags.DEFINE_integer('saving_steps', 3_000, 'Of the run that saves; 0: none.')
_ONE = flags.DEFINE_list('one', [], 'For the processes themselves: who, case, folder.')

_STEPS_PER_CALL = 10
_TOLD = 'window'  # what a line begins with that tells of one


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

    steps = case.window * (_WINDOWS.value + 1)  # the first compiles
    return TrainConfig(
        batch_size=case.batch,
        total_steps=steps,
        log_every_steps=case.window,
        checkpoint_every_steps=steps,
        steps_per_call=_STEPS_PER_CALL,
        device='cpu',
        model=ModelConfig(name=case.model, channels=case.channels),
        input=InputConfig(height=case.side, width=case.side, shuffle_records=1000, cache=True),
        augment=AugmentConfig(flip=False),
        step=StepConfig(xla=case.xla),
    )


class Turns:
    """Tells the parent what a window took, and waits for its leave to begin the next."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def end_window(self) -> None:
        """Tells of the window that ends here; the next begins when the parent says so."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        print(_TOLD, wall, cpu, flush=True)
        sys.stdin.readline()
        self._start()


def ours(case: Case, folder: Path) -> None:
    """`train`, as it is, with a turn after each line of its log."""
    from trainer.data.data_set import open_data_set
    from trainer.training.loop import train
    from trainer.training.reporter import Reporter

    turns, log = Turns(), Reporter.log

    def log_and_wait(self: Reporter, **values: Any) -> None:
        log(self, **values)
        turns.end_window()

    Reporter.log = log_and_wait  # type: ignore[method-assign]
    train(config_of(case), open_data_set(str(folder / 'product')), _new(folder / 'workdir'))


def _new(workdir: Path) -> str:
    import shutil

    shutil.rmtree(workdir, ignore_errors=True)
    return str(workdir)


def fit(case: Case, folder: Path) -> None:
    """Keras's `fit`, with a turn after each epoch of a window's length."""
    import keras

    from trainer.data import input_pipeline
    from trainer.data.data_set import open_data_set
    from trainer.models import batch_norm
    from trainer.models.model import build_model
    from trainer.optim.optimizers import build_optimizer

    class Waiting(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, *_: object) -> None:
            turns.end_window()

    turns = Turns()
    config, data = config_of(case), open_data_set(str(folder / 'product'))
    keras.utils.set_random_seed(config.seed)
    shape = (case.side, case.side, 3)
    net = build_model(config.model, num_classes=data.num_classes, input_shape=shape)
    if _FIT_KERNEL.value and not case.xla:
        batch_norm.fuse(net)
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
    model.fit(
        batches,
        steps_per_epoch=case.window,
        epochs=_WINDOWS.value + 1,
        verbose=0,
        callbacks=[Waiting()],
    )


def saving(folder: Path) -> tuple[float, float]:
    """The share of its time that a run loses to checkpoints at the default interval, and of a save
    the seconds, as its boards tell them.
    """
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from trainer.config import TrainConfig
    from trainer.data.data_set import open_data_set
    from trainer.training.loop import train

    case = CASES['small_cnn']
    config = dataclasses.replace(
        config_of(case),
        total_steps=_SAVING_STEPS.value,
        checkpoint_every_steps=TrainConfig.checkpoint_every_steps,
    )
    workdir = _new(folder / 'workdir')
    train(config, open_data_set(str(folder / 'product')), workdir)
    events = EventAccumulator(workdir + '/tensorboard').Reload()
    rates, shares = (
        [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(name)]
        for name in ('pictures_per_second', 'saving_share')
    )
    # The window that compiles is longer than all others; what is saved last is in no window.
    seconds = [case.window * case.batch / rate for rate in rates][1:]
    lost = [share * of for share, of in zip(shares[1:], seconds, strict=True)]
    saves = [one for one in lost if one]
    return sum(lost) / sum(seconds), statistics.mean(saves)


@dataclass(frozen=True)
class Window:
    """What a window took, seconds of the wall and of the processor."""

    wall: float
    cpu: float


@contextlib.contextmanager
def started(who: str, name: str, folder: Path) -> 'Iterator[subprocess.Popen[str]]':
    """A run in a process of its own, its first window taken."""
    flags_given = [f'--one={who},{name},{folder}', f'--output={folder}']
    command = [sys.executable, '-m', 'benchmarks.train_step', *flags_given]
    process = subprocess.Popen(
        [*command, f'--windows={_WINDOWS.value}', f'--fit_kernel={_FIT_KERNEL.value}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        told(process)
        yield process
    finally:
        process.kill()  # what follows the last window is not asked for
        process.wait()


def told(process: 'subprocess.Popen[str]') -> Window:
    """The window that a process tells of next."""
    for line in process.stdout or ():
        first, *figures = line.split()
        if first == _TOLD:
            wall, cpu = map(float, figures)
            return Window(wall, cpu)
    raise RuntimeError('a run has ended before its last window')


def take_window(process: 'subprocess.Popen[str]') -> Window:
    """Lets a process take a window."""
    print('go', file=process.stdin, flush=True)
    return told(process)


def measure(name: str, folder: Path) -> list[tuple[Window, Window]]:
    """Windows of a process of each, neighbours in time; who is first alternates."""
    pairs = []
    with started('ours', name, folder) as mine, started('fit', name, folder) as other:
        for number in range(_WINDOWS.value):
            if number % 2:
                second = take_window(other)
                pairs.append((take_window(mine), second))
            else:
                pairs.append((take_window(mine), take_window(other)))
    return pairs


def row(name: str, pairs: list[list[tuple[Window, Window]]]) -> str:
    """The results of a case, as a line of the table."""
    steps = CASES[name].window
    windows = [window for pair in pairs for window in pair]
    mine, other = (steps / statistics.median(window[i].wall for window in windows) for i in (0, 1))
    cpu = [statistics.median(window[i].cpu for window in windows) / steps * 1e3 for i in (0, 1)]
    walls = [statistics.median(other.wall / ours.wall for ours, other in pair) for pair in pairs]
    cpus = [statistics.median(other.cpu / ours.cpu for ours, other in pair) for pair in pairs]
    label = name.replace('_', ' ')
    figures = f'{_spread(walls)} | {cpu[0]:,.1f} | {cpu[1]:,.1f} | {_spread(cpus)}'
    return f'| {label} | {mine:,.1f} | {other:,.1f} | {figures} |'


def _spread(ratios: list[float]) -> str:
    return f'{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})'


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    tensorflow_start.start()
    if _ONE.value:
        who, name, one_folder = _ONE.value
        {'ours': ours, 'fit': fit}[who](CASES[name], Path(one_folder))
        return
    folder = Path(_OUTPUT.value).absolute()
    input_files.prepare(folder, products=_PRODUCTS.value)
    print('| | ours, steps/s | fit | ours / fit | ours, CPU ms a step | fit | fit / ours |')
    print('|---|---|---|---|---|---|---|')
    for name in _ONLY.value or CASES:
        print(row(name, [measure(name, folder) for _ in range(_PAIRS.value)]), flush=True)
    if _SAVING_STEPS.value:
        share, seconds = saving(folder)
        print(f'\nsaving: {share:.2%} of {_SAVING_STEPS.value:,} steps, {seconds:.3f} s a save')


if __name__ == '__main__':
    command_line.run(main)
