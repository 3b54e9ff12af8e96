"""Logs the sums of a window, and what a run does: to files, to TensorBoard, to standard error."""

import contextlib
import time
from collections.abc import Iterator, Mapping

import tensorflow as tf

from catalog.process.progress import Progress
from trainer.config import TrainConfig
from trainer.data.data_set import DataInfo
from trainer.data.examples import example_spec
from trainer.monitoring import metric_writers
from trainer.optim.schedules import LearningRate
from trainer.training.state import State


class Reporter:
    """Logs the progress of a run."""

    def __init__(
        self,
        board: metric_writers.MetricWriter | metric_writers.NullMetricWriter,
        *,
        config: TrainConfig,
        info: DataInfo,
        state: State,
        step: int,
        silent: bool,
    ) -> None:
        """Takes the parts of a run that starts or resumes at `step`.

        Args:
          board: Writes the metrics.
          config: The config of the run.
          info: The data set.
          state: The state of the run.
          step: Steps that are done.
          silent: Whether nothing is printed: for workers other than the chief.
        """
        self._silent = silent
        self._board = board
        self._config = config
        self._state = state
        self._learning_rate = LearningRate(
            config.optimizer,
            total_steps=config.total_steps,
            drop=None if state.plateau is None else state.plateau.factor,
        )
        self._epoch_examples = sum(info.examples_per_class)
        self._unit = example_spec(config).unit
        self._logged_step = step
        self._logged_at = time.monotonic()
        self._saving_seconds = 0.0
        self._progress = Progress(
            'training', total=config.total_steps, unit='steps', first=step, lines=True
        )

    def log(self, *, step: int, validation: Mapping[str, float]) -> None:
        """Logs the window that ends after `step` steps, with the metrics of an evaluation."""
        means = self._state.window.reset(batch_size=self._config.batch_size)
        now = time.monotonic()
        examples = (step - self._logged_step) * self._config.batch_size
        seconds = now - self._logged_at
        rate = examples / seconds
        self._logged_step, self._logged_at = step, now
        metrics = {
            'step': step,
            **means,
            'learning_rate': float(self._learning_rate(tf.constant(step - 1))),
            'epoch': step * self._config.batch_size / self._epoch_examples,
            **validation,
        }
        measured = {
            f'{self._unit}_per_second': rate,
            'input_wait_share': self._input_wait_share(seconds=seconds),
            'saving_share': self._saving_seconds / seconds,
            'undecodable_pictures': float(self._state.pictures.undecodable.numpy()),
        }
        self._saving_seconds = 0.0
        self._board.log(metrics, measured=measured)
        if not self._silent:
            shown = {**means, **validation}
            values = [f'{name} {value:.4f}' for name, value in shown.items()]
            self._progress.update(step, note=f'{rate:,.0f} {self._unit}/s, {", ".join(values)}')

    def message(self, text: str) -> None:
        """Prints a line about the run, such as what it resumed."""
        if not self._silent:
            self._progress.message(f'training: {text}')

    @contextlib.contextmanager
    def saving(self, saved: str) -> Iterator[None]:
        """Counts the time of the block as time spent saving, and prints what was saved."""
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        self._saving_seconds += seconds
        self.message(f'saved {saved} in {seconds:.1f}s')

    def _input_wait_share(self, *, seconds: float) -> float:
        waited = float(self._state.input_seconds.numpy())
        self._state.input_seconds.assign(0.0)
        return min(waited / seconds, 1.0)

    def close(self) -> None:
        """Ends the progress line on the terminal."""
        if not self._silent:
            self._progress.close()
