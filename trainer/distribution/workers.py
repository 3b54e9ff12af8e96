"""The processes of one run: the place of this one, and values that all agree on. Knows no model.

TensorFlow reads the cluster from the environment variable TF_CONFIG, a JSON object in each process:
`{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}`.
Worker 0 is the chief: it alone writes the files that all workers share.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from catalog.errors import UserError

_VARIABLE = 'TF_CONFIG'
_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", ...}}'
# Errors of a collective operation that waits for a process which has ended.
_LOST_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
_LOST_SIGNS = ('Collective', 'collective', 'RecvBuf', 'coordination', 'heartbeat', 'Socket closed')


@dataclass(frozen=True)
class Cluster:
    """The place of a process in a run.

    Attributes:
      index: Index of the process; 0 is the chief.
      count: Number of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.index == 0


def read_cluster() -> Cluster:
    """Reads the cluster from TF_CONFIG.

    Raises:
      UserError: If it is not set, or not of the form above.
    """
    text = os.environ.get(_VARIABLE)
    if not text:
        raise UserError(f'{_VARIABLE} must be set for multi_worker, like {_EXAMPLE}, got nothing')
    try:
        document = json.loads(text)
        hosts, task = document['cluster']['worker'], document['task']
        index = int(task['index'])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{_VARIABLE} must be like {_EXAMPLE}, got {text!r}') from error
    if set(document['cluster']) != {'worker'} or task.get('type') != 'worker':
        raise UserError(
            f'{_VARIABLE} must list workers only, of which the first is the chief, got {text!r}'
        )
    if not 0 <= index < len(hosts):
        raise UserError(f'{_VARIABLE}: task.index must be below {len(hosts)}, got {index}')
    return Cluster(index=index, count=len(hosts))


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
      UserError: If another process has ended.
    """
    try:
        yield
    except _LOST_ERRORS as error:
        if cluster.count == 1 or not any(sign in str(error) for sign in _LOST_SIGNS):
            raise
        raise UserError(
            f'worker {cluster.index}: all {cluster.count} workers must be running, one is lost; '
            'see its log, then start all workers again: the run resumes from its last checkpoint'
        ) from error
