r"""Benchmarks our training loop and Keras's `fit`, with the same model, optimizer and input.

Examples:
  python -m benchmarks.train_step --output=DIR

Both train on one device, on the same cached stream of `input_pipeline`, with ten steps per call,
and start TensorFlow as training does (`trainer.startup`). Each runs in its own process. They take
turns by windows of steps, a few seconds each, so that noise affects both: one waits while the other
runs. In each window, our loop logs to its metric writers, and `fit` ends an epoch. The ratio of two
processes is the median ratio of neighbouring windows, in wall time and in CPU time. Two processes
of the same program can differ by a tenth, so several pairs run in sequence, and the table shows the
median, smallest and largest ratio. Finally, a run with the default interval of checkpoints measures
their cost.

Our loop uses another batch norm kernel than Keras. With --fit_kernel, `fit` uses it too, and the
difference is that of the loops.
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
from catalog.errors import UserError
from trainer import startup

if TYPE_CHECKING:
    from trainer.config import TrainConfig

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the data.', required=True)
_PRODUCTS = flags.DEFINE_integer('products', 2_000, 'Products of the sample.', lower_bound=1)
_PAIRS = flags.DEFINE_integer('pairs', 5, 'Pairs of processes.', lower_bound=1)
_WINDOWS = flags.DEFINE_integer('windows', 6, 'Measured windows per process.', lower_bound=1)
_ONLY = flags.DEFINE_list('only', [], 'Cases to measure. Default: all.')
_FIT_KERNEL = flags.DEFINE_bool('fit_kernel', False, 'Whether `fit` uses our batch norm kernel.')
_SAVING_STEPS = flags.DEFINE_integer(
    'saving_steps', 3_000, 'Steps of the run that measures checkpoints; 0 for no such run.'
)
_ONE = flags.DEFINE_list('one', [], 'Internal, for child processes: contender, case, folder.')

_STEPS_PER_CALL = 10
_WINDOW_TAG = 'window'  # first word of a line with the times of a window


@dataclass(frozen=True)
class Case:
    """A model and how it is trained."""

    model: str
    side: int  # image height and width in pixels
    batch: int
    window: int  # steps
    xla: bool
    channels: int = 32  # channels of a small network's first layer


CASES = {
    'small_cnn': Case('small_cnn', 28, 128, 100, xla=False, channels=8),
    'small_cnn_xla': Case('small_cnn', 28, 128, 100, xla=True, channels=8),
    'mobilenet_v2': Case('mobilenet_v2', 96, 32, 10, xla=False),
}


def config_of(case: Case) -> 'TrainConfig':
    from trainer.config import AugmentConfig, InputConfig, ModelConfig, StepConfig, TrainConfig

    steps = case.window * (_WINDOWS.value + 1)  # the first window compiles
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
    """Reports the times of a window to the parent process, and waits for it to start the next."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def end_window(self) -> None:
        """Reports the window that ends here, and waits until the parent starts the next."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        print(_WINDOW_TAG, wall, cpu, flush=True)
        sys.stdin.readline()
        self._start()


def ours(case: Case, folder: Path) -> None:
    """Runs `train`, with a turn after each line of its log."""
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
    """Runs Keras's `fit`, with a turn after each epoch, which is a window long."""
    import keras

    from trainer.data.batches import train_batches
    from trainer.data.data_set import open_data_set
    from trainer.data.examples import batch_spec
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
    norm = batch_norm.training_norm(fused=_FIT_KERNEL.value and not case.xla, synchronized=False)
    net = build_model(config.model, num_classes=data.num_classes, input_shape=shape, norm=norm)
    scale = keras.layers.Rescaling(1 / 127.5, -1.0)  # the same as `preprocess.normalize`
    model = keras.Sequential([keras.Input(shape, dtype='uint8'), scale, net])
    model.compile(
        build_optimizer(config.optimizer, total_steps=config.total_steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=['accuracy'],
        steps_per_execution=_STEPS_PER_CALL,
        jit_compile=case.xla,
    )
    batches = train_batches(data, batch_spec(config)).map(lambda x: (x['image'], x['label']))
    model.fit(
        batches,
        steps_per_epoch=case.window,
        epochs=_WINDOWS.value + 1,
        verbose=0,
        callbacks=[Waiting()],
    )


def saving(folder: Path) -> tuple[float, float]:
    """Measures checkpoints at the default interval: their share of a run's time, and seconds each.

    Both are computed from the run's TensorBoard events.
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
    # Excludes the first window, which compiles. The last checkpoint is in no window.
    seconds = [case.window * case.batch / rate for rate in rates][1:]
    lost = [share * window for share, window in zip(shares[1:], seconds, strict=True)]
    saves = [one for one in lost if one]
    return sum(lost) / sum(seconds), statistics.mean(saves)


@dataclass(frozen=True)
class Window:
    """The wall time and CPU time of a window, in seconds."""

    wall: float
    cpu: float


@contextlib.contextmanager
def running(contender: str, name: str, folder: Path) -> 'Iterator[subprocess.Popen[str]]':
    """Runs a contender in its own process, and yields it after its first window."""
    flags_given = [f'--one={contender},{name},{folder}', f'--output={folder}']
    command = [sys.executable, '-m', 'benchmarks.train_step', *flags_given]
    process = subprocess.Popen(
        [*command, f'--windows={_WINDOWS.value}', f'--fit_kernel={_FIT_KERNEL.value}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        read_window(process)
        yield process
    finally:
        process.kill()  # the work after the last window is not measured
        process.wait()


def read_window(process: 'subprocess.Popen[str]') -> Window:
    """Reads the times of the next window that a process reports."""
    for line in process.stdout or ():
        tag, *times = line.split()
        if tag == _WINDOW_TAG:
            wall, cpu = map(float, times)
            return Window(wall, cpu)
    raise RuntimeError('a run must report all of its windows, but it ended earlier')


def run_window(process: 'subprocess.Popen[str]') -> Window:
    """Lets a process run a window, and returns its times."""
    print('go', file=process.stdin, flush=True)
    return read_window(process)


def measure(name: str, folder: Path) -> list[tuple[Window, Window]]:
    """Measures neighbouring windows of both contenders; they alternate in running first."""
    pairs = []
    with running('ours', name, folder) as mine, running('fit', name, folder) as other:
        for number in range(_WINDOWS.value):
            if number % 2:
                second = run_window(other)
                pairs.append((run_window(mine), second))
            else:
                pairs.append((run_window(mine), run_window(other)))
    return pairs


def row(name: str, pairs: list[list[tuple[Window, Window]]]) -> str:
    """Formats the results of a case as a row of the table."""
    steps = CASES[name].window
    windows = [window for pair in pairs for window in pair]
    mine, other = (steps / statistics.median(window[i].wall for window in windows) for i in (0, 1))
    cpu = [statistics.median(window[i].cpu for window in windows) / steps * 1e3 for i in (0, 1)]
    walls = [statistics.median(other.wall / ours.wall for ours, other in pair) for pair in pairs]
    cpus = [statistics.median(other.cpu / ours.cpu for ours, other in pair) for pair in pairs]
    label = name.replace('_', ' ')
    cells = f'{_spread(walls)} | {cpu[0]:,.1f} | {cpu[1]:,.1f} | {_spread(cpus)}'
    return f'| {label} | {mine:,.1f} | {other:,.1f} | {cells} |'


def _spread(ratios: list[float]) -> str:
    return f'{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})'


def _check_saving_steps() -> None:
    from trainer.config import TrainConfig

    # A checkpoint in the last window is not counted.
    least = TrainConfig.checkpoint_every_steps + CASES['small_cnn'].window
    if 0 < _SAVING_STEPS.value < least:
        raise UserError(f'--saving_steps must be 0 or at least {least}, got {_SAVING_STEPS.value}')


def main(argv: list[str]) -> None:
    """Measures and prints a table."""
    del argv
    startup.start()
    if _ONE.value:
        contender, name, one_folder = _ONE.value
        {'ours': ours, 'fit': fit}[contender](CASES[name], Path(one_folder))
        return
    _check_saving_steps()
    folder = Path(_OUTPUT.value).absolute()
    input_files.prepare(folder, products=_PRODUCTS.value)
    print('| | ours, steps/s | fit | ours / fit | ours, CPU ms per step | fit | fit / ours |')
    print('|---|---|---|---|---|---|---|')
    for name in _ONLY.value or CASES:
        print(row(name, [measure(name, folder) for _ in range(_PAIRS.value)]), flush=True)
    if _SAVING_STEPS.value:
        share, seconds = saving(folder)
        print(
            f'\ncheckpoints: {share:.2%} of the time of {_SAVING_STEPS.value:,} steps, '
            f'{seconds:.3f} s each'
        )


if __name__ == '__main__':
    command_line.run(main)
