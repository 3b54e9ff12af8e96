"""What a run computes on, and what changes when it resumes on something else."""

import os
from dataclasses import astuple, dataclass
from typing import Self

import tensorflow as tf

from trainer.distribution.cluster import Cluster


@dataclass(frozen=True)
class Machines:
    """What a run computes on.

    Attributes:
      hosts: Number of processes.
      devices: Number of devices of all processes.
      cores: CPU cores of the chief.
    """

    hosts: int
    devices: int
    cores: int

    @classmethod
    def here(cls, cluster: Cluster, strategy: tf.distribute.Strategy) -> Self:
        """Returns what this process and its peers compute on."""
        cores = len(os.sched_getaffinity(0))
        return cls(cluster.count, strategy.num_replicas_in_sync, cores)

    def variable(self) -> tf.Variable:
        """Returns the numbers as a part of a checkpoint, int64 [3]."""
        return tf.Variable(astuple(self), dtype=tf.int64, trainable=False)


def describe(before: Machines, now: Machines) -> str:
    """Returns a sentence about a run that resumes on other machines, or an empty string.

    Args:
      before: What wrote the checkpoint.
      now: What resumes.
    """
    changed = [
        f'{name} were {old} and now are {new}'
        for name, old, new in zip(
            ('hosts', 'devices', 'CPU cores'), astuple(before), astuple(now), strict=True
        )
        if old != new
    ]
    if not changed:
        return ''
    effect = 'the same pictures in the same order, with losses equal up to rounding'
    if before.devices != now.devices:
        effect = (
            'the same pictures in the same order; each device normalizes its own part of a batch, '
            'and draws dropout for it'
        )
    return f'{", ".join(changed)}: {effect}'
