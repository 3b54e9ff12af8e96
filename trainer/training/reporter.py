"""Logs the sums of a window: to metrics.jsonl, to TensorBoard, to the terminal."""

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
    ) -> None:
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
        self._progress = Progress('training', total=config.total_steps, unit='step')
        self._progress.update(step)

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
        self._progress.update(step, note=f'loss {means["loss"]:.3f}, {rate:,.0f} {self._unit}/s')

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Counts the time of the block as time spent saving."""
        start = time.monotonic()
        yield
        self._saving_seconds += time.monotonic() - start

    def _input_wait_share(self, *, seconds: float) -> float:
        waited = float(self._state.input_seconds.numpy())
        self._state.input_seconds.assign(0.0)
        return min(waited / seconds, 1.0)

    def close(self) -> None:
        """Ends the progress line on the terminal."""
        self._progress.close()
