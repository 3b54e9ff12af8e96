"""The state of all workers, saved and restored together. What a checkpoint is: `checkpoint`.

The chief saves what all workers share. Every other worker saves its own iterator first, so that
a checkpoint that is there is whole; all must be able to read it, or the one before is taken.
"""

import tensorflow as tf

from trainer.workdir import checkpoint
from trainer.training.step import State
from trainer.distribution.workers import Workers


def save(state: State, workdir: str, *, step: int, keep: int, workers: Workers) -> None:
    """Writes a checkpoint of all workers.

    Raises:
      UserError: if it cannot be written; those before are as they were.
    """
    cluster = workers.cluster
    if not cluster.is_chief:
        checkpoint.save_part(_own(state), workdir, step=step, worker=cluster.index)
    workers.wait()
    if cluster.is_chief:
        checkpoint.save(state.checkpoint(), workdir, step=step, keep=keep)


def restore(state: State, workdir: str, *, workers: Workers) -> int:
    """Restores the newest checkpoint that every worker can read; its step, 0 if there is none.

    Raises:
      UserError: if there are checkpoints, but none can be read.
    """
    if workers.cluster.count == 1:
        return checkpoint.restore(state.checkpoint(), workdir) or 0
    while True:
        step = int(workers.chiefs(_newest(workdir) if workers.cluster.is_chief else 0))
        if not step:
            return 0
        if workers.all(_read(state, workdir, step=step, workers=workers)):
            return step
        if workers.cluster.is_chief:
            checkpoint.set_aside(workdir, step=step, reason='a worker cannot read it')


def _newest(workdir: str) -> int:
    found = checkpoint.steps(workdir)
    if not found:
        checkpoint.refuse_to_start_again(workdir)
    return found[0] if found else 0


def _read(state: State, workdir: str, *, step: int, workers: Workers) -> bool:
    cluster = workers.cluster
    if cluster.is_chief:
        return checkpoint.read(state.checkpoint(), workdir, step=step)
    return checkpoint.read(state.shared_checkpoint(), workdir, step=step) and checkpoint.read_part(
        _own(state), workdir, step=step, worker=cluster.index
    )


def _own(state: State) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(iterator=state.iterator)
