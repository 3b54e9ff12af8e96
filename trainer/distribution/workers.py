"""The processes of one run: who this one is, and what all of them agree on. Knows no model.

TensorFlow reads the cluster from the environment variable TF_CONFIG, one JSON object a process:
`{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}`.
Worker 0 is the chief: it alone writes to the workdir what is not a worker's own.
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
# What a collective operation ends with when a process that it waits for is gone.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
_LOST_SIGNS = ('Collective', 'collective', 'RecvBuf', 'coordination', 'heartbeat', 'Socket closed')


@dataclass(frozen=True)
class Cluster:
    """A process among those of a run.

    Attributes:
      index: from 0, the chief.
      count: how many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0


def read_cluster() -> Cluster:
    """The cluster that TF_CONFIG names.

    Raises:
      UserError: if it is not set, or not of the form above.
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
        raise UserError(f'{_VARIABLE} must name workers only, the first is the chief, got {text!r}')
    if not 0 <= index < len(hosts):
        raise UserError(f'{_VARIABLE}: task.index must be below {len(hosts)}, got {index}')
    return Cluster(index=index, count=len(hosts))


class Workers:
    """What the processes of a run agree on. Every process must make the same calls in turn.

    Attributes:
      cluster: who this process is.
    """

    def __init__(self, cluster: Cluster, strategy: tf.distribute.Strategy) -> None:
        self.cluster = cluster
        self._replicas = strategy.num_replicas_in_sync // cluster.count  # of this process

        def total(values: tf.Tensor) -> tf.Tensor:
            copies = strategy.run(lambda: tf.identity(values))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, copies, axis=None)

        self._total = tf.function(total, autograph=False, reduce_retracing=True)

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, float64."""
        if self.cluster.count == 1:
            return [float(value) for value in values]
        sums = self._total(tf.constant(values, tf.float64)).numpy() / self._replicas
        return [float(value) for value in np.atleast_1d(sums)]

    def wait(self) -> None:
        """Returns when every process is here."""
        self.total([0.0])

    def any(self, yes: bool) -> bool:
        """Whether any process says yes."""
        return self.total([float(yes)])[0] > 0

    def all(self, yes: bool) -> bool:
        """Whether every process says yes."""
        return not self.any(not yes)

    def chiefs(self, number: float) -> float:
        """The chief's number."""
        return self.total([number if self.cluster.is_chief else 0.0])[0]


@contextlib.contextmanager
def lost_peers_are_told(cluster: Cluster) -> Iterator[None]:
    """Turns the loss of another process into one line. TensorFlow notices it by heartbeats.

    Raises:
      UserError: if another process is gone.
    """
    try:
        yield
    except _LOST as error:
        if cluster.count == 1 or not any(sign in str(error) for sign in _LOST_SIGNS):
            raise
        raise UserError(
            f'worker {cluster.index}: all {cluster.count} workers must be alive, one is lost; see '
            'what it said, start all again: the run goes on from its last checkpoint'
        ) from error
