"""Evaluates a run's model while it trains: the figures of a split, and its first pictures."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from trainer.optim import ema as averages
from trainer.training import guards
from trainer.data import input_pipeline
from trainer.training import moving
from trainer.data import product_pipeline
from trainer.monitoring import sample_pictures
from trainer.training import validation
from trainer.config import TrainConfig
from trainer.data.data_set import DataSet
from trainer.metrics.classification import Figures
from trainer.training.step import State
from trainer.distribution.workers import Workers


@dataclass(frozen=True)
class Found:
    """What an evaluation found.

    Attributes:
      figures: of all examples of the split: pictures, or products where their views are fused.
      pictures: the first ones (of a product its first view) with what the model says of them, uint8
        [N, h, w, 3].
    """

    figures: Figures
    pictures: npt.NDArray[np.uint8]

    def told(self) -> dict[str, float]:
        """The figures as they stand in metrics.jsonl."""
        return validation.told(self.figures)


class Evaluator:
    """Measures the weights of a run, or their means where it keeps them."""

    def __init__(
        self,
        state: State,
        config: TrainConfig,
        data: DataSet,
        *,
        strategy: tf.distribute.Strategy,
        workers: Workers,
    ) -> None:
        """Checks the split; compiles nothing before it is asked.

        Raises:
          UserError: if the run evaluates, and the split has no labels.
        """
        self._state, self._config, self._data, self._workers = state, config, data, workers
        if not config.validation.every_steps:
            return
        split, cluster = config.validation.split, workers.cluster
        if not any(data.split(split).products_per_class):
            raise UserError(f'{data.folder}: validation.split must have labels, {split!r} has none')
        pipeline = product_pipeline if config.model.fusion.is_on else input_pipeline
        self._batches = pipeline.evaluation_batches(
            data, split, config, worker=cluster.index, num_workers=cluster.count
        )
        self._forward = validation.compile_forward(
            state.model, strategy, config, batches=self._batches, num_workers=cluster.count
        )

    def evaluate(self) -> Found:
        """One pass over the split; every worker gets the same figures, the chief the pictures.

        Raises:
          UserError: naming a damaged shard.
        """
        split = self._config.validation.split
        found = self._data.split(split)
        moving.share(self._state.model, self._state.means, workers=self._workers)
        with (
            averages.in_place_of_weights(self._state.means, self._state.model),
            guards.damaged_input_is_named(self._data, split=split),
        ):
            figures = validation.measure(
                self._forward,
                self._batches,
                num_classes=self._data.num_classes,
                examples=found.records if self._config.model.fusion.is_on else found.pictures,
                workers=self._workers,
            )
            return Found(figures, self._sample())

    def _sample(self) -> npt.NDArray[np.uint8]:
        count = self._config.board.sample_pictures
        if not count or self._config.input.features or not self._workers.cluster.is_chief:
            return np.zeros([0, 1, 1, 3], np.uint8)
        batch = next(iter(self._batches.take(1)))
        batch = {name: column[:count] for name, column in batch.items()}
        images = batch['image'][:, 0] if 'mask' in batch else batch['image']
        return sample_pictures.draw(
            images.numpy(),
            labels=batch['label'].numpy(),
            probabilities=tf.nn.softmax(self._forward(batch)).numpy(),
            names=[path[-1] for path in self._data.categories.names],
        )
