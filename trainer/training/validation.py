"""Measures a model while it trains, on the devices it trains on. An example is what the model
learns: a picture, or a product whose views it fuses. `evaluation` measures both, after the run.
"""

import dataclasses
from collections.abc import Callable, Iterable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.training import model_inputs as feed
from trainer.metrics import classification as metrics
from trainer.config import TrainConfig
from trainer.metrics.classification import Figures
from trainer.metrics.classification import Tally
from trainer.distribution.workers import Workers

Batch = dict[str, tf.Tensor]
Forward = Callable[[Batch], tf.Tensor]

_TOLD = ('accuracy', 'top5_accuracy', 'loss', 'macro_precision', 'macro_recall', 'macro_f1')


def told(figures: Figures) -> dict[str, float]:
    """The figures as they stand in metrics.jsonl: `validation_accuracy` and the like."""
    values = dataclasses.asdict(figures)
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
) -> Figures:
    """The figures of all workers' examples; every worker gets the same.

    Args:
      forward: of `compile_forward`.
      batches: this worker's, of pictures or of products.
      num_classes: C.
      examples: in the batches of all workers.
      workers: of the run.
    """
    top = min(metrics.TOP, num_classes)
    rows = [_rows(forward(batch), batch['label'], top=top) for batch in batches]
    mine = np.concatenate(rows) if rows else np.zeros([0, top + 2])
    found = _gathered(mine, total=examples, workers=workers)
    tally = Tally(num_classes)
    tally.update(
        labels=found[:, 0].astype(np.int64),
        predicted=found[:, 1:-1].astype(np.int64),
        label_log_probability=found[:, -1],
    )
    return metrics.figures(tally)


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
