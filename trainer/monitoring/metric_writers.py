"""Writes the metrics of a run: `metrics.jsonl` and TensorBoard's event files.

`workdir/metrics.jsonl` holds one JSON object per logged step, with floats in full precision. Its
lines are a function of data and config only; nothing in them is measured by a clock, so the files
of two runs of one config can be compared byte for byte. Rates are on TensorBoard
(`event_folder`) only.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import api as hparams  # type: ignore[import-untyped]

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.monitoring.event_folder import event_folder
from trainer.workdir import metrics_file


class NullMetricWriter:
    """Writes nothing: for workers other than the chief."""

    def log(self, metrics: Mapping[str, float], *, measured: Mapping[str, float]) -> None:
        """Does nothing."""

    def log_config(self, values: Mapping[str, Any], *, identity: Mapping[str, Any]) -> None:
        """Does nothing."""

    def log_images(self, name: str, images: npt.NDArray[np.uint8], *, step: int) -> None:
        """Does nothing."""

    def log_histograms(self, weights: Mapping[str, keras.Variable], *, step: int) -> None:
        """Does nothing."""


def open_metric_writer(
    workdir: str, *, step: int, silent: bool
) -> 'contextlib.AbstractContextManager[MetricWriter | NullMetricWriter]':
    """Opens the writer of a run that starts or resumes at a step."""
    return (
        contextlib.nullcontext(NullMetricWriter()) if silent else MetricWriter(workdir, step=step)
    )


class MetricWriter:
    """Writes the metrics of a run that starts or resumes at a step."""

    def __init__(self, workdir: str, *, step: int) -> None:
        """Drops what an interrupted run logged after the step.

        Raises:
          UserError: If the files cannot be written.
        """
        self._workdir = workdir
        path = storage.join(workdir, naming.METRICS)
        kept = [_line(row) for row in metrics_file.read_metrics(workdir) if row['step'] <= step]
        storage.write_bytes(path, ''.join(kept).encode())
        folder = event_folder(workdir)
        with _write_errors(workdir):
            self._file = tf.io.gfile.GFile(path, 'a')
            _drop_events_after(folder, step=step)
            self._events = tf.summary.create_file_writer(folder)

    def log(self, metrics: Mapping[str, float], *, measured: Mapping[str, float]) -> None:
        """Logs a step. `metrics` holds `step`; `measured` goes to TensorBoard only."""
        step = int(metrics['step'])
        with self._events_at(step):
            self._file.write(_line(metrics))
            self._file.flush()
            for name, value in {**metrics, **measured}.items():
                if name != 'step':
                    tf.summary.scalar(name, value)

    def log_config(self, values: Mapping[str, Any], *, identity: Mapping[str, Any]) -> None:
        """Logs the hyperparameters for TensorBoard's HParams plugin, which has a row per trial.

        Args:
          values: All values of the config by name.
          identity: Those that do not change when the run resumes; with the path of the workdir,
            they identify the trial.
        """
        plain = {
            name: value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for name, value in values.items()
        }
        with self._events_at(0):
            hparams.hparams(plain, trial_id=_trial_id(self._workdir, identity))

    def log_images(self, name: str, images: npt.NDArray[np.uint8], *, step: int) -> None:
        """Logs images, uint8 [N, H, W, 3]."""
        with self._events_at(step):
            tf.summary.image(name, images, max_outputs=len(images))

    def log_histograms(self, weights: Mapping[str, keras.Variable], *, step: int) -> None:
        """Logs a histogram of the values of each weight, by name."""
        with self._events_at(step):
            for name, weight in weights.items():
                tf.summary.histogram(f'weights/{name}', weight.value)

    @contextlib.contextmanager
    def _events_at(self, step: int) -> Iterator[None]:
        with _write_errors(self._workdir):
            with self._events.as_default(step):
                yield
            self._events.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A file that could not be written cannot be closed either.
        with contextlib.suppress(*([tf.errors.OpError] if kind else [])):
            self._file.close()
            self._events.close()


@contextlib.contextmanager
def _write_errors(workdir: str) -> Iterator[None]:
    """Turns errors of writing, such as a full disk, into a UserError of one line."""
    try:
        yield
    except tf.errors.OpError as error:
        raise UserError(
            f'{workdir}: metrics and TensorBoard events must be writable, got: {error.message}; '
            'the checkpoints are intact, the same command resumes from the last one'
        ) from error


def _trial_id(workdir: str, identity: Mapping[str, Any]) -> str:
    # By the whole path: runs of one config may have workdirs of one name, as `a/work` and `b/work`.
    path = workdir if storage.is_remote(workdir) else str(Path(workdir).absolute())
    document = json.dumps([path, dict(identity)], sort_keys=True)
    return f'{Path(path).name}-{hashlib.sha256(document.encode()).hexdigest()[:12]}'


def _line(metrics: Mapping[str, float]) -> str:
    return json.dumps(dict(metrics)) + '\n'


def _drop_events_after(folder: str, *, step: int) -> None:
    """Makes TensorBoard drop the events that an interrupted run logged after the step."""
    now = time.time_ns()
    session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    events = [
        event_pb2.Event(wall_time=now / 1e9, file_version='brain.Event:2'),
        event_pb2.Event(wall_time=now / 1e9, step=step + 1, session_log=session),
    ]
    # TensorBoard reads the files in the order of their names. TensorFlow's next file has the same
    # second or a later one, then the host's name: it must come after this one.
    name = f'events.out.tfevents.{now // 10**9:010d}.-{now}'
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(storage.join(folder, name)) as file:
        for event in events:
            file.write(event.SerializeToString())
