"""What a run tells of itself: `metrics.jsonl` and TensorBoard.

`workdir/metrics.jsonl` holds one JSON object a logged step, floats in full precision. Its lines are
a function of data and config alone: nothing in them is measured by a clock, so two runs of one
config can be compared byte for byte. Rates are on TensorBoard (`workdir/tensorboard`) only.

A mirror of TensorBoard at Weights & Biases, by its own sync of event files.

Needs the extra `wandb`. Open it before the event files are: the sync hooks their making.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import api as hparams  # type: ignore[import-untyped]
from tensorboard.summary.writer import event_file_writer  # type: ignore[import-untyped]

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import BoardConfig

TRIAL = 'run'  # its name among the hyper-parameters: one run a workdir


def read_metrics(workdir: str) -> list[dict[str, float]]:
    """The logged steps of a run, in order; empty if there are none."""
    try:
        text = storage.read_bytes(storage.join(workdir, naming.METRICS)).decode()
    except FileNotFoundError:
        return []
    # A run that was killed may have left half a line.
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith('\n')]


class Silent:
    """The boards of a worker that is not the chief: says nothing."""

    def log(self, metrics: Mapping[str, float], *, measured: Mapping[str, float]) -> None:
        """Nothing."""

    def config(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def pictures(self, name: str, images: npt.NDArray[np.uint8], *, step: int) -> None:
        """Nothing."""

    def histograms(self, weights: Mapping[str, keras.Variable], *, step: int) -> None:
        """Nothing."""


def open_boards(
    workdir: str, *, step: int, silent: bool
) -> 'contextlib.AbstractContextManager[Boards | Silent]':
    """The boards of a run that begins, or goes on, at a step."""
    return contextlib.nullcontext(Silent()) if silent else Boards(workdir, step=step)


class Boards:
    """Writes the metrics of a run that begins, or goes on, at a step."""

    def __init__(self, workdir: str, *, step: int) -> None:
        self._workdir = workdir
        path = storage.join(workdir, naming.METRICS)
        kept = [_line(row) for row in read_metrics(workdir) if row['step'] <= step]
        storage.write_bytes(path, ''.join(kept).encode())
        folder = storage.join(workdir, naming.TENSORBOARD)
        with _refusals(workdir):
            self._file = tf.io.gfile.GFile(path, 'a')
            _forget_events_after(folder, step=step)
            self._events = tf.summary.create_file_writer(folder)

    def log(self, metrics: Mapping[str, float], *, measured: Mapping[str, float]) -> None:
        """Adds a step. `metrics` holds `step`; `measured` goes to TensorBoard alone."""
        step = int(metrics['step'])
        with self._events_of(step):
            self._file.write(_line(metrics))
            self._file.flush()
            for name, value in {**metrics, **measured}.items():
                if name != 'step':
                    tf.summary.scalar(name, value)

    def config(self, values: Mapping[str, Any]) -> None:
        """Shows the hyper-parameters, by name, in TensorBoard's HParams plugin."""
        plain = {
            name: value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for name, value in values.items()
        }
        with self._events_of(0):
            hparams.hparams(plain, trial_id=TRIAL)

    def pictures(self, name: str, images: npt.NDArray[np.uint8], *, step: int) -> None:
        """Shows pictures, uint8 [N, H, W, 3]."""
        with self._events_of(step):
            tf.summary.image(name, images, max_outputs=len(images))

    def histograms(self, weights: Mapping[str, keras.Variable], *, step: int) -> None:
        """Shows how the values of each weight, by name, are spread."""
        with self._events_of(step):
            for name, weight in weights.items():
                tf.summary.histogram(f'weights/{name}', weight.value)

    @contextlib.contextmanager
    def _events_of(self, step: int) -> Iterator[None]:
        with _refusals(self._workdir):
            with self._events.as_default(step):
                yield
            self._events.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What could not be written cannot be closed either.
        with contextlib.suppress(*([tf.errors.OpError] if kind else [])):
            self._file.close()
            self._events.close()


@contextlib.contextmanager
def _refusals(workdir: str) -> Iterator[None]:
    """Turns a full disk and the like into one line.

    Raises:
      UserError: if the boards cannot be written.
    """
    try:
        yield
    except tf.errors.OpError as error:
        raise UserError(
            f'{workdir}: the boards must be written, got: {error.message}; '
            'checkpoints are as they were, the same command goes on from the last'
        ) from error


def _line(metrics: Mapping[str, float]) -> str:
    return json.dumps(dict(metrics)) + '\n'


def _forget_events_after(folder: str, *, step: int) -> None:
    """Tells TensorBoard to drop what a run that was cut off logged after the step."""
    writer = event_file_writer.EventFileWriter(folder)
    session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    writer.add_event(event_pb2.Event(step=step + 1, session_log=session))
    writer.close()


@contextlib.contextmanager
def open_mirror(workdir: str, config: BoardConfig, *, silent: bool) -> Iterator[None]:
    """Mirrors what TensorBoard is told while the block runs.

    Raises:
      UserError: if the package is not installed, the workdir is remote, or wandb refuses.
    """
    if config.wandb == 'off' or silent:
        yield
        return
    run = _start(workdir, config.wandb, project=config.wandb_project)
    try:
        yield
    finally:
        run.finish()


def _start(workdir: str, mode: Literal['offline', 'online'], *, project: str) -> Any:
    if storage.is_remote(workdir):
        raise UserError(f'board.wandb must be off where --workdir is remote, got {workdir}')
    try:
        import wandb
        from wandb.integration import tensorboard as sync
    except ImportError as error:
        raise UserError(
            f"board.wandb={mode} needs the package wandb: pip install -c constraints.txt '.[wandb]'"
        ) from error
    sync.patch(root_logdir=storage.join(workdir, naming.TENSORBOARD))
    try:
        return wandb.init(
            project=project,
            id=hashlib.sha256(workdir.encode()).hexdigest()[:16],  # a run that goes on is the same
            resume='allow' if mode == 'online' else None,
            mode=mode,
            dir=workdir,
            settings=wandb.Settings(silent=True),
        )
    except wandb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'board.wandb={mode} must be able to start: {reason}') from error
