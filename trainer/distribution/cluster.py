"""The place of a process among the processes of a run, read from TF_CONFIG. Knows no TensorFlow.

TF_CONFIG is a JSON object in the environment of each process:
`{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}`.
Worker 0 is the chief: it alone writes the files that all workers share. Vertex AI lists it apart:
`{"cluster": {"chief": ["host1:port"], "worker": ["host2:port"]}, "task": {"type": "chief", …}}`,
which is the same cluster.
"""

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from catalog.errors import UserError

VARIABLE = 'TF_CONFIG'

_CHIEF, _WORKER = 'chief', 'worker'
_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", ...}}'


@dataclass(frozen=True)
class Cluster:
    """The place of a process in a run.

    Attributes:
      index: Index of the process; 0 is the chief.
      addresses: `host:port` of each process; one process alone needs none.
    """

    index: int = 0
    addresses: tuple[str, ...] = ('',)

    @property
    def count(self) -> int:
        """The number of processes."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.index == 0

    def to_tf_config(self) -> str:
        """Returns the TF_CONFIG in which all processes are workers."""
        cluster = {_WORKER: list(self.addresses)}
        return json.dumps({'cluster': cluster, 'task': {'type': _WORKER, 'index': self.index}})


def read_cluster() -> Cluster:
    """Reads the cluster from TF_CONFIG.

    Raises:
      UserError: If it is not set, or not of a form above.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise UserError(f'{VARIABLE} must be set for multi_worker, like {_EXAMPLE}, got nothing')
    try:
        document = json.loads(text)
        jobs, task = dict(document['cluster']), document['task']
        kind, index = task.get('type'), int(task['index'])
        chiefs, workers = _addresses(jobs, _CHIEF), _addresses(jobs, _WORKER)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{VARIABLE} must be like {_EXAMPLE}, got {text!r}') from error
    if jobs.keys() - {_CHIEF, _WORKER} or kind not in jobs or len(chiefs) > 1:
        raise UserError(f'{VARIABLE} must list workers and at most one chief only, got {text!r}')
    count = len(chiefs if kind == _CHIEF else workers)
    if not 0 <= index < count:
        raise UserError(f'{VARIABLE}: task.index must be below {count}, got {index}')
    place = index if kind == _CHIEF else len(chiefs) + index
    return Cluster(place, (*chiefs, *workers))


def _addresses(jobs: dict[str, Any], name: str) -> list[str]:
    """Returns the addresses of a job, none if it is not listed.

    Raises:
      ValueError: If they are not a list of `host:port`.
    """
    found = jobs.get(name, [])
    if not isinstance(found, list) or not all(re.fullmatch(r'.+:\d{1,5}', each) for each in found):
        raise ValueError(f'{name} must be a list of host:port, got {found}')
    return found
