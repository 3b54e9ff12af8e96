"""Measures a model while it trains, on the devices it trains on. A picture is an example here;
`evaluation` measures products, after the run.
"""

import dataclasses
from collections.abc import Callable, Iterable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import metrics, preprocess
from trainer.config import TrainConfig
from trainer.metrics import Figures, Tally
from trainer.workers import Workers

Batch = dict[str, tf.Tensor]
Forward = Callable[[tf.Tensor], tf.Tensor]

_TOLD = ('accuracy', 'top5_accuracy', 'loss', 'macro_precision', 'macro_recall', 'macro_f1')


def told(figures: Figures) -> dict[str, float]:
    """The figures as they stand in metrics.jsonl: `validation_accuracy` and the like."""
    values = dataclasses.asdict(figures)
    return {f'validation_{name}': values[name] for name in _TOLD}


def compile_forward(
    model: keras.Model, strategy: tf.distribute.Strategy, config: TrainConfig, *, num_workers: int
) -> Forward:
    """A function of at most `batch_size` pictures, uint8 [B, H, W, 3] -> logits float32 [B, C].

    The batch is filled up and parted among this worker's devices.
    """
    devices = strategy.num_replicas_in_sync // num_workers
    part = config.batch_size // devices

    def on_replica(images: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group % devices
        with tf.device('cpu:0'):  # so that no device is sent more than its part
            mine = images[replica * part : (replica + 1) * part]
        return tf.cast(model(preprocess.normalize(mine, config.model), training=False), tf.float32)

    def forward(images: tf.Tensor) -> tf.Tensor:
        count = tf.shape(images)[0]
        filled = tf.pad(images, [[0, part * devices - count], [0, 0], [0, 0], [0, 0]])
        filled = tf.ensure_shape(filled, [part * devices, *images.shape[1:]])
        logits = strategy.experimental_local_results(strategy.run(on_replica, args=(filled,)))
        return tf.concat(logits, axis=0)[:count]

    signature = [tf.TensorSpec([None, config.input.height, config.input.width, 3], tf.uint8)]
    compiled: Forward = tf.function(forward, input_signature=signature, autograph=False)
    return compiled


def measure(
    forward: Forward, batches: Iterable[Batch], *, num_classes: int, pictures: int, workers: Workers
) -> Figures:
    """The figures of all workers' pictures; every worker gets the same.

    Args:
      forward: of `compile_forward`.
      batches: this worker's, from `input_pipeline.evaluation_batches`.
      num_classes: C.
      pictures: in the batches of all workers.
      workers: of the run.
    """
    top = min(metrics.TOP, num_classes)
    rows = [_rows(forward(batch['image']), batch['label'], top=top) for batch in batches]
    mine = np.concatenate(rows) if rows else np.zeros([0, top + 2])
    found = _gathered(mine, total=pictures, workers=workers)
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
