"""Measures a model while it trains, on the devices it trains on. An example is what the model
learns: a picture, or a product whose views it fuses. `evaluation` measures both, after the run.

Evaluates a run's model while it trains: the metrics of a split, and its first pictures.

The moving figures of batch norm, of which every device has its own. Knows no disk.

A device averages what it saw itself (Keras 3 does not bring them together); a checkpoint holds
those of the chief's first device. So they are what is evaluated, too.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.data import input_pipeline, product_pipeline, sources
from trainer.data.data_set import DataSet
from trainer.distribution.workers import Workers
from trainer.metrics import classification
from trainer.metrics.classification import Metrics, MetricsAccumulator
from trainer.monitoring import sample_images
from trainer.optim import ema
from trainer.training import model_inputs as feed
from trainer.training.state import State

Batch = dict[str, tf.Tensor]
Forward = Callable[[Batch], tf.Tensor]

_TOLD = ('accuracy', 'top5_accuracy', 'loss', 'macro_precision', 'macro_recall', 'macro_f1')


def told(metrics: Metrics) -> dict[str, float]:
    """The metrics as they stand in metrics.jsonl: `validation_accuracy` and the like."""
    values = dataclasses.asdict(metrics)
    return {f'validation_{name}': values[name] for name in _TOLD}


def compile_forward(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    config: TrainConfig,
    *,
    batches: tf.data.Dataset,
    num_workers: int,
) -> Forward:
    """A function of a batch of at most `batch_size` examples: logits float32 [B, C].

    The batch is filled up and parted among this worker's devices.

    Args:
      model: of the run.
      strategy: of the run.
      config: of the run.
      batches: that it will be asked about.
      num_workers: of the run.
    """
    devices = strategy.num_replicas_in_sync // num_workers
    part = config.batch_size // devices
    network = feed.network(model, config)

    def on_replica(batch: Batch) -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group % devices
        with tf.device('cpu:0'):  # so that no device is sent more than its part
            mine = {
                name: column[replica * part : (replica + 1) * part]
                for name, column in batch.items()
            }
        return tf.cast(network(feed.inputs(mine, config), training=False), tf.float32)

    def forward(batch: Batch) -> tf.Tensor:
        count = tf.shape(tf.nest.flatten(batch)[0])[0]
        rows = tf.range(part * devices) % count  # filled up with examples that are there
        filled = {name: tf.gather(column, rows) for name, column in batch.items()}
        logits = strategy.experimental_local_results(strategy.run(on_replica, args=(filled,)))
        return tf.concat(logits, axis=0)[:count]

    spec = feed.of_model(batches.element_spec)
    compiled = tf.function(forward, input_signature=[spec], autograph=False)
    return lambda batch: compiled(feed.of_model(batch))


def measure(
    forward: Forward, batches: Iterable[Batch], *, num_classes: int, examples: int, workers: Workers
) -> Metrics:
    """The metrics of all workers' examples; every worker gets the same.

    Args:
      forward: of `compile_forward`.
      batches: this worker's, of pictures or of products.
      num_classes: C.
      examples: in the batches of all workers.
      workers: of the run.
    """
    top = min(classification.TOP, num_classes)
    rows = [_rows(forward(batch), batch['label'], top=top) for batch in batches]
    mine = np.concatenate(rows) if rows else np.zeros([0, top + 2])
    found = _gathered(mine, total=examples, workers=workers)
    tally = MetricsAccumulator(num_classes)
    tally.update(
        labels=found[:, 0].astype(np.int64),
        predicted=found[:, 1:-1].astype(np.int64),
        label_log_probability=found[:, -1],
    )
    return classification.compute_metrics(tally)


def _rows(logits: tf.Tensor, labels: tf.Tensor, *, top: int) -> npt.NDArray[np.float64]:
    """Label, the likeliest classes and the log probability of the label: float64 [B, top + 2]."""
    log_probability = tf.gather(tf.nn.log_softmax(logits), labels, batch_dims=1)
    predicted = tf.math.top_k(logits, top).indices
    columns = [labels[:, None], predicted, log_probability[:, None]]
    return np.concatenate([column.numpy().astype(np.float64) for column in columns], axis=1)


def _gathered(
    mine: npt.NDArray[np.float64], *, total: int, workers: Workers
) -> npt.NDArray[np.float64]:
    """The rows of all workers: each fills its own place, the sum is the whole."""
    if workers.cluster.count == 1:
        return mine
    counts = np.zeros(workers.cluster.count)
    counts[workers.cluster.index] = len(mine)
    ends = np.cumsum(workers.total(counts.tolist())).astype(int)
    filled = np.zeros([total, mine.shape[1]])
    end = ends[workers.cluster.index]
    filled[end - len(mine) : end] = mine
    return np.array(workers.total(filled.ravel().tolist())).reshape(filled.shape)


@dataclass(frozen=True)
class Found:
    """What an evaluation found.

    Attributes:
      metrics: of all examples of the split: pictures, or products where their views are fused.
      pictures: the first ones (of a product its first view) with what the model says of them, uint8
        [N, h, w, 3].
    """

    metrics: Metrics
    pictures: npt.NDArray[np.uint8]

    def told(self) -> dict[str, float]:
        """The metrics as they stand in metrics.jsonl."""
        return told(self.metrics)


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
        self._forward = compile_forward(
            state.model, strategy, config, batches=self._batches, num_workers=cluster.count
        )

    def evaluate(self) -> Found:
        """One pass over the split; every worker gets the same metrics, the chief the pictures.

        Raises:
          UserError: naming a damaged shard.
        """
        split = self._config.validation.split
        found = self._data.split(split)
        share(self._state.model, self._state.means, workers=self._workers)
        with (
            ema.swapped_in(self._state.means, self._state.model),
            sources.damaged_input_is_named(self._data, split=split),
        ):
            metrics = measure(
                self._forward,
                self._batches,
                num_classes=self._data.num_classes,
                examples=found.records if self._config.model.fusion.is_on else found.pictures,
                workers=self._workers,
            )
            return Found(metrics, self._sample())

    def _sample(self) -> npt.NDArray[np.uint8]:
        count = self._config.board.sample_pictures
        if not count or self._config.input.features or not self._workers.cluster.is_chief:
            return np.zeros([0, 1, 1, 3], np.uint8)
        batch = next(iter(self._batches.take(1)))
        batch = {name: column[:count] for name, column in batch.items()}
        images = batch['image'][:, 0] if 'mask' in batch else batch['image']
        return sample_images.draw(
            images.numpy(),
            labels=batch['label'].numpy(),
            probabilities=tf.nn.softmax(self._forward(batch)).numpy(),
            names=[path[-1] for path in self._data.categories.names],
        )


def share(model: keras.Model, means: Sequence[tf.Variable], *, workers: Workers) -> None:
    """Gives those of the chief's first device to all devices of all processes.

    Args:
      model: that learns; a step does not read them.
      means: of `model.weights`, where the run keeps such: they stand for the model then.
      workers: of the run.
    """
    weights = model.weights
    names = {id(weight) for layer in model._flatten_layers() for weight in _moving(layer)}
    places = [place for place, weight in enumerate(weights) if id(weight) in names]
    variables = [means[place] if means else weights[place].value for place in places]
    values = [tf.convert_to_tensor(variable).numpy() for variable in variables]
    for variable, value in zip(variables, _of_the_chief(values, workers), strict=True):
        variable.assign(value)


def _moving(layer: keras.layers.Layer) -> list[keras.Variable]:
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return [layer.moving_mean, layer.moving_variance] if is_norm else []


def _of_the_chief(values: list[np.ndarray], workers: Workers) -> list[np.ndarray]:
    if workers.cluster.count == 1 or not values:
        return values
    mine = np.concatenate([np.ravel(value) for value in values]).astype(np.float64)
    given = mine if workers.cluster.is_chief else np.zeros_like(mine)
    found = np.array(workers.total(given.tolist()), np.float32)
    ends = np.cumsum([value.size for value in values])
    parts = np.split(found, ends[:-1])
    return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]
