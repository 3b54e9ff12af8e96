"""Evaluates a model while it trains, on the devices that it trains on.

An example is what the model learns: a picture, or a product whose views it fuses. The command
`trainer.evaluate` measures both after the run.
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.categories import Categories
from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.data import batches as input_batches
from trainer.data import sources
from trainer.data.data_set import DataSet
from trainer.data.examples import batch_spec
from trainer.distribution import moving_statistics, replica_calls
from trainer.distribution.workers import Workers
from trainer.inference.predictor import Predictor
from trainer.metrics import classification, levels
from trainer.metrics.classification import Metrics, MetricsAccumulator
from trainer.monitoring import sample_images
from trainer.optim import ema
from trainer.training.model_inputs import Batch, ModelInputs, model_inputs, without_labels
from trainer.training.state import State
from trainer.undecodable.log import UndecodableLog

Forward = Callable[[Batch], tf.Tensor]

_LOGGED = ('accuracy', 'top5_accuracy', 'loss', 'macro_precision', 'macro_recall', 'macro_f1')


@dataclass(frozen=True)
class Measured:
    """Metrics over all examples of the split.

    Attributes:
      leaves: Metrics of the leaves.
      level_accuracies: Of each level above the leaves, from 1: `levels.accuracy_by_leaf`, the
        accuracy by level of `trainer.evaluate`.
    """

    leaves: Metrics
    level_accuracies: tuple[float, ...]

    def logged(self) -> dict[str, float]:
        """Returns the metrics by their names in metrics.jsonl, such as `validation_accuracy`."""
        values = dataclasses.asdict(self.leaves)
        above = enumerate(self.level_accuracies, start=1)
        return {
            **{f'validation_{name}': values[name] for name in _LOGGED},
            **{f'validation_level{level}_accuracy': value for level, value in above},
        }


def compile_forward(
    predictor: Predictor,
    inputs: ModelInputs,
    strategy: tf.distribute.Strategy,
    *,
    batch_size: int,
    num_workers: int,
) -> Forward:
    """Returns a function from a batch of at most `batch_size` examples to logits float32 [B, C].

    The batch is padded and divided among the replicas of this worker.

    Args:
      predictor: The forward path of the model.
      inputs: How batches become inputs.
      strategy: The strategy of the run.
      batch_size: The global batch size.
      num_workers: Processes of the run.
    """
    forward_views = predictor.logits_of_features if inputs.example.is_cached else predictor.logits

    def on_replica(part: Batch) -> tf.Tensor:
        return forward_views(inputs.views(part), part.get('mask'))

    divided = replica_calls.divide(
        on_replica, strategy, num_workers=num_workers, batch_size=batch_size
    )
    return lambda batch: divided(without_labels(batch))


def measure(
    forward: Forward, batches: Iterable[Batch], *, tree: Categories, examples: int, workers: Workers
) -> Measured:
    """Computes the metrics over the examples of all workers; every worker gets the same.

    Examples without a decodable picture do not count.

    Args:
      forward: A function of `compile_forward`.
      batches: The batches of this worker.
      tree: The category tree.
      examples: Number of examples in the batches of all workers.
      workers: The processes of the run.
    """
    top_k = min(classification.TOP, len(tree))
    rows = [_rows(forward(batch), batch['label'], top_k=top_k) for batch in batches]
    own = np.concatenate([np.zeros([0, top_k + 2]), *rows])
    own = own[own[:, 0] >= 0]  # without the examples that have no decodable picture
    all_rows = _gather(own, total=examples, workers=workers)
    if not len(all_rows):
        raise UserError('validation.split must have a decodable picture, got none')
    accumulator = MetricsAccumulator(len(tree))
    accumulator.update(
        labels=all_rows[:, 0].astype(np.int64),
        predicted=all_rows[:, 1:-1].astype(np.int64),
        label_log_probability=all_rows[:, -1],
    )
    confusion = accumulator.confusion()
    return Measured(
        classification.compute_metrics(accumulator),
        tuple(levels.accuracy_by_leaf(confusion, node_of) for node_of in tree.parents),
    )


def _rows(logits: tf.Tensor, labels: tf.Tensor, *, top_k: int) -> npt.NDArray[np.float64]:
    """Returns label, top-k classes and log probability of the label: float64 [B, top_k + 2]."""
    classes = tf.maximum(labels, 0)  # of examples without a decodable picture: dropped later
    log_probability = tf.gather(tf.nn.log_softmax(logits), classes, batch_dims=1)
    predicted = tf.math.top_k(logits, top_k).indices
    columns = [labels[:, None], predicted, log_probability[:, None]]
    return np.concatenate([column.numpy().astype(np.float64) for column in columns], axis=1)


def _gather(
    own: npt.NDArray[np.float64], *, total: int, workers: Workers
) -> npt.NDArray[np.float64]:
    """Returns the rows of all workers: each fills its own rows of a matrix; their sum is taken."""
    if workers.cluster.count == 1:
        return own
    counts = np.zeros(workers.cluster.count)
    counts[workers.cluster.index] = len(own)
    ends = np.cumsum(workers.sum(counts.tolist())).astype(int)
    matrix = np.zeros([total, own.shape[1]])
    end = ends[workers.cluster.index]
    matrix[end - len(own) : end] = own
    return np.array(workers.sum(matrix.ravel().tolist())).reshape(matrix.shape)[: ends[-1]]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation while training.

    Attributes:
      measured: The metrics.
      pictures: Images of the first examples (of a product its first view) with the predictions of
        the model drawn below, uint8 [N, h, w, 3].
    """

    measured: Measured
    pictures: npt.NDArray[np.uint8]


class Evaluator:
    """Evaluates the weights of a run, or their EMA if the run keeps it."""

    def __init__(
        self,
        state: State,
        config: TrainConfig,
        data: DataSet,
        *,
        strategy: tf.distribute.Strategy,
        workers: Workers,
    ) -> None:
        """Checks the split; compiles nothing before the first evaluation.

        Raises:
          UserError: If the run evaluates and the split has no labels.
        """
        self._state, self._data, self._workers = state, data, workers
        self._split, self._sample_count = config.validation.split, config.board.sample_pictures
        self._inputs = model_inputs(config)
        if not config.validation.every_steps:
            return
        if not any(data.split(self._split).products_per_class):
            raise UserError(
                f'{data.folder}: validation.split must have labels, {self._split!r} has none'
            )
        cluster = workers.cluster
        self._undecodable = UndecodableLog(data.paths(self._split))
        self._batches = input_batches.evaluation_batches(
            data,
            self._split,
            batch_spec(config),
            worker=cluster.index,
            num_workers=cluster.count,
            undecodable=self._undecodable,
        )
        self._forward = compile_forward(
            Predictor(state.model, config.model),
            self._inputs,
            strategy,
            batch_size=config.batch_size,
            num_workers=cluster.count,
        )

    def evaluate(self) -> Evaluation:
        """Evaluates the split once; every worker gets the same metrics, the chief the pictures.

        Raises:
          UserError: Naming a damaged shard.
        """
        state = self._state
        moving_statistics.broadcast(state.model, state.ema, workers=self._workers)
        with (
            ema.swapped_in(state.ema, state.model),
            sources.input_errors_named(self._data, split=self._split),
        ):
            measured = measure(
                self._forward,
                self._batches,
                tree=self._data.categories,
                examples=self._inputs.example.count(self._data.split(self._split)),
                workers=self._workers,
            )
            self._undecodable.report(at_once=False)
            return Evaluation(measured, self._sample())

    def _sample(self) -> npt.NDArray[np.uint8]:
        example = self._inputs.example
        if not self._sample_count or example.is_cached or not self._workers.cluster.is_chief:
            return np.zeros([0, 1, 1, 3], np.uint8)
        batch = next(iter(self._batches.take(1)))
        decodable = batch['label'] >= 0
        batch = {name: column[decodable][: self._sample_count] for name, column in batch.items()}
        if not len(batch['label']):
            return np.zeros([0, 1, 1, 3], np.uint8)
        images = batch['image'][:, 0] if example.is_product else batch['image']
        return sample_images.draw(
            images.numpy(),
            labels=batch['label'].numpy(),
            probabilities=tf.nn.softmax(self._forward(batch)).numpy(),
            names=[path[-1] for path in self._data.categories.names],
        )
