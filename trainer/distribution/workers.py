"""Values that the processes of a run agree on. Knows no model."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from catalog.errors import UserError
from trainer.distribution.cluster import Cluster

# Errors of a collective operation that waits for a process which has ended.
_LOST_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
_LOST_SIGNS = ('Collective', 'collective', 'RecvBuf', 'coordination', 'heartbeat', 'Socket closed')


class LostWorker(UserError):
    """Another process of the run has ended; the run resumes once all are started again."""


class Workers:
    """Values that the processes of a run agree on. All processes must make the same calls in order.

    Attributes:
      cluster: The place of this process.
    """

    def __init__(self, cluster: Cluster, strategy: tf.distribute.Strategy) -> None:
        self.cluster = cluster
        self._replicas = strategy.num_replicas_in_sync // cluster.count  # of this process

        def add(values: tf.Tensor) -> tf.Tensor:
            copies = strategy.run(lambda: tf.identity(values))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, copies, axis=None)

        self._add = tf.function(add, autograph=False, reduce_retracing=True)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Returns the sums over all processes, float64."""
        if self.cluster.count == 1:
            return [float(value) for value in values]
        sums = self._add(tf.constant(values, tf.float64)).numpy() / self._replicas
        return [float(value) for value in np.atleast_1d(sums)]

    def wait(self) -> None:
        """Returns once every process has called it."""
        self.sum([0.0])

    def any_true(self, value: bool) -> bool:
        """Returns whether the value of any process is true."""
        return self.sum([float(value)])[0] > 0

    def all_true(self, value: bool) -> bool:
        """Returns whether the values of all processes are true."""
        return not self.any_true(not value)

    def value_of_chief(self, number: float) -> float:
        """Returns the number of the chief."""
        return self.sum([number if self.cluster.is_chief else 0.0])[0]


@contextlib.contextmanager
def lost_workers_named(cluster: Cluster) -> Iterator[None]:
    """Turns the loss of another process, which TensorFlow detects by heartbeats, into one line.

    Raises:
      LostWorker: If another process has ended.
    """
    try:
        yield
    except _LOST_ERRORS as error:
        if cluster.count == 1 or not any(sign in str(error) for sign in _LOST_SIGNS):
            raise
        raise LostWorker(
            f'worker {cluster.index}: all {cluster.count} workers must be running, one is lost; '
            'see its log, then start all workers again: the run resumes from its last checkpoint'
        ) from error
